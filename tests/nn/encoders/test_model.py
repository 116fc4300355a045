"""Folders that are no encoder, or not quite one, and the small parts of encoders by hand."""

import dataclasses
import json
import os
import pickle
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoders import FOLDER
from flax import nnx
from PIL import Image
from safetensors.numpy import load_file, save_file

from jaxdc.errors import InputError
from jaxdc.nn.encoders import Preprocess, UnknownEncoder, hub, open_encoder
from jaxdc.nn.encoders.kinds import of_config
from jaxdc.nn.encoders.positions import interpolation, resized
from jaxdc.nn.encoders.preprocess import of_hugging_face, of_timm
from jaxdc.nn.encoders.tensors import read_tensors
from jaxdc.nn.encoders.vit import ACTIVATIONS, ViT, ViTSettings, rotary_angles


@pytest.fixture
def copy(tmp_path):
    """A copy of an encoder, with its settings and tensors changed."""

    def copied(name, change=lambda tensors: None, **settings):
        folder = shutil.copytree(FOLDER / name, tmp_path / name)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **settings}))
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")
        return folder

    return copied


def test_missing_and_extra_tensors_are_named(copy):
    def change(tensors):
        tensors["layernorm.offset"] = tensors.pop("layernorm.bias")

    with pytest.raises(InputError, match=r"lack layernorm\.bias"):
        open_encoder(copy("dinov2", change), side=14).load()
    with pytest.raises(InputError, match=r"besides what is known, layer\.0\.mlp\.gate_proj"):
        open_encoder(copy("dinov3_gated", use_gated_mlp=False), side=8).load()


def test_a_tensor_of_another_shape_is_named(copy):
    with pytest.raises(InputError, match=r"mlp\.fc\d\.weight.*does not fit.*48.*speaks of.*72"):
        open_encoder(copy("dinov2", mlp_ratio=3), side=14).load()


def test_a_prefix_before_all_names_is_no_matter(copy):
    def change(tensors):
        for name in list(tensors):
            tensors[f"dinov2.{name}"] = tensors.pop(name)
        tensors["classifier.weight"] = np.zeros((2, 2), np.float32)

    open_encoder(copy("dinov2", change), side=14).load()


def test_an_unknown_kind_names_those_that_are_known(copy):
    with pytest.raises(UnknownEncoder, match="is a 'swin'; known are dinov2, .* efficientnet-lite0"):
        open_encoder(copy("dinov2", model_type="swin"))
    with pytest.raises(UnknownEncoder, match="fixed size"):
        open_encoder(copy("clip_vision", model_type="siglip2"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"hidden_size": 0}, "width must be an integer from 1 to 65,536, but is 0"),
        ({"hidden_size": 24.5}, "width must be an integer .* but is 24.5"),
        ({"num_attention_heads": 0}, "heads must be .* but is 0"),
        ({"num_attention_heads": 5}, "5 heads can't share a width of 24"),
        ({"num_hidden_layers": 10**6}, "depth must be .* but is 1000000"),
        ({"patch_size": 0}, "patch must be .* but is 0"),
        ({"patch_size": "seven"}, "damaged"),
        ({"num_channels": -1}, "channels must be .* but is -1"),
        ({"layer_norm_eps": "small"}, "epsilon must be between 0 and 1, but is 'small'"),
        ({"mlp_ratio": "4"}, "hidden must be"),
        ({"hidden_act": "mish"}, "no activation 'mish'"),
        ({"hidden_act": ["gelu"]}, "damaged"),
        ({"patch_size": [7, 8]}, r"patch_size is \[7, 8\], where a square is needed"),
    ],
    ids=str,
)
def test_a_size_that_no_network_has_is_named(copy, settings, sentence):
    with pytest.raises(InputError, match=rf"config\.json of .*{sentence}"):
        open_encoder(copy("dinov2", **settings))


class _Malicious:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pth", "weights.pt"])
def test_a_folder_with_a_malicious_pickle_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(FOLDER / "timm_vit" / "config.json", tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps({"pos_embed": _Malicious()}))
    with pytest.raises(InputError, match=f"{name} is refused, or damaged: it names (posix|nt).mkdir"):
        open_encoder(tmp_path)
    assert not (tmp_path / "was-run").exists()


def test_a_pickle_named_as_safetensors_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(FOLDER / "timm_vit" / "config.json", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(_Malicious()))
    with pytest.raises(InputError, match="is damaged"):
        open_encoder(tmp_path)
    assert not (tmp_path / "was-run").exists()


def test_weights_of_pytorch_never_go_through_pickle_itself(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("an unrestricted pickle was read")

    monkeypatch.setattr(pickle, "load", fail)
    monkeypatch.setattr(pickle, "loads", fail)
    folder = FOLDER / "efficientnet"
    assert "_conv_stem.weight" in read_tensors(folder)
    assert open_encoder(FOLDER / "resnet_timm", side=32).kind.name == "resnet50"


def test_tensors_of_another_rank_are_refused(copy):
    def change(tensors):
        tensors["patch_embed.proj.weight"] = np.ones(5, np.float32)

    with pytest.raises(InputError, match="damaged"):
        open_encoder(copy("timm_vit", change))


def test_timm_of_another_kind(copy):
    with pytest.raises(UnknownEncoder, match="timm's 'convnext_tiny'"):
        open_encoder(copy("timm_vit", architecture="convnext_tiny"))


def test_a_folder_that_is_no_encoder(tmp_path):
    with pytest.raises(InputError, match="holds no weights"):
        open_encoder(tmp_path)
    with pytest.raises(InputError, match="there is no encoder folder"):
        open_encoder(tmp_path / "nothing")
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="is damaged"):
        open_encoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="neither a model_type nor an architecture"):
        open_encoder(tmp_path)
    (tmp_path / "config.json").write_text("[1")
    with pytest.raises(InputError, match="has invalid JSON"):
        open_encoder(tmp_path)


def test_pictures_smaller_than_a_patch_are_refused():
    with pytest.raises(InputError, match="5 pixels are too small.*a patch has 7"):
        open_encoder(FOLDER / "dinov2", side=5)
    with pytest.raises(InputError, match="16 pixels are too small.*needs 32"):
        open_encoder(FOLDER / "resnet_timm", side=16)


def test_the_checksum_is_of_the_weights(copy):
    same, there = open_encoder(copy("dinov2"), side=14), open_encoder(copy("dinov3"), side=8)
    assert len(same.checksum) == 16 and same.checksum != there.checksum
    changed = copy("timm_vit", lambda tensors: tensors.update(cls_token=tensors["cls_token"] + 1))
    assert open_encoder(changed).checksum != open_encoder(FOLDER / "timm_vit").checksum


def test_a_shard_outside_of_the_folder_is_refused(tmp_path):
    folder = shutil.copytree(FOLDER / "siglip", tmp_path / "siglip")
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00001-of", "../model-00001-of"))
    with pytest.raises(InputError, match="not in its folder"):
        open_encoder(folder)


def test_the_hub_is_not_asked_unless_told_so(monkeypatch):
    asked = []

    def snapshot_download(name, *, allow_patterns, local_files_only):
        from huggingface_hub.errors import LocalEntryNotFoundError

        asked.append(local_files_only)
        assert "*.safetensors" in allow_patterns
        raise LocalEntryNotFoundError("not here")

    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(InputError, match="--download fetches it"):
        hub.folder_of("facebook/dinov2-small")
    with pytest.raises(InputError, match="can't be reached"):
        hub.folder_of("facebook/dinov2-small", download=True)
    assert asked == [True, False]
    with pytest.raises(InputError, match="no encoder folder ../secret"):
        hub.folder_of("../secret")


def test_without_its_package_the_hub_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'jaxdc\[hub\]'"):
        hub.folder_of("facebook/dinov2-small")


def run(network, x):
    return jax.jit(lambda x: network(x))(x)


SMALL = ViTSettings(width=4, depth=0, heads=2, hidden=4, patch=2, side=4)


def test_without_blocks_the_class_token_is_normed():
    network = ViT(SMALL, rngs=nnx.Rngs(0))
    network.class_token[...] = jnp.array([1.0, 2.0, 3.0, 4.0])
    network.positions[...] = jnp.ones((5, 4)).at[0].set(jnp.array([0.0, 0.0, 0.0, 4.0]))
    x = jnp.array([1.0, 2.0, 3.0, 8.0])
    expected = (x - x.mean()) / jnp.sqrt(x.var() + 1e-6)
    np.testing.assert_allclose(run(network, jnp.zeros((1, 4, 4, 3)))[0], expected, rtol=1e-6)


def test_a_block_whose_scale_is_zero_changes_nothing():
    settings = dataclasses.replace(SMALL, heads=1, layer_scale=True, positions="rotary")
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
    with_block = ViT(dataclasses.replace(settings, depth=1), rngs=nnx.Rngs(1))
    without = ViT(settings, rngs=nnx.Rngs(1))
    without.class_token[...] = with_block.class_token[...] = jnp.arange(4.0)
    for scale in (with_block.blocks[0].scale1, with_block.blocks[0].scale2):
        scale[...] = jnp.zeros(4)
    np.testing.assert_allclose(run(with_block, x), run(without, x), rtol=1e-6)


def test_activations_that_look_alike():
    at_one = {name: float(f(jnp.float32(1))) for name, f in ACTIVATIONS.items()}
    expected = {"gelu": 0.841345, "gelu_tanh": 0.841192, "quick_gelu": 0.845796, "silu": 0.731059}
    assert at_one == pytest.approx(expected, abs=2e-6)


def test_one_patch_is_turned_by_nothing():
    np.testing.assert_array_equal(rotary_angles(1, 8, 100.0), np.zeros((1, 4)))
    angles = rotary_angles(2, 8, 100.0)  # centres at -1/2 and 1/2; frequencies 1 and 1/10
    np.testing.assert_allclose(angles[1], np.pi * np.array([-1, -0.1, 1, 0.1]), rtol=1e-6)


@pytest.mark.parametrize("antialias", [False, True])
def test_interpolation_keeps_what_is_constant_and_the_identity(antialias):
    np.testing.assert_allclose(interpolation(7, 3, antialias=antialias).sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(interpolation(5, 5, antialias=antialias), np.eye(5), atol=1e-12)


def test_interpolation_by_hand():
    # Four to two: half-way between two of them, where the cubic of a = -3/4 gives 19/32 to each and -3/32 to the
    # next; what lies beyond the border repeats the first.
    expected = [(19 - 3) / 32, 19 / 32, -3 / 32, 0]
    np.testing.assert_allclose(interpolation(4, 2, antialias=False)[0], expected, atol=1e-12)


def test_positions_that_are_no_square():
    with pytest.raises(InputError, match="6 patches, which are no square"):
        resized(np.zeros((7, 2), np.float32), 1, 3, antialias=True)


def test_a_picture_is_resized_and_cut_as_pillow_does():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    # The shorter side to 16, then 14 x 14 about the centre.
    whole = Image.fromarray(image).resize((24, 16), Image.Resampling.BICUBIC)
    made = Preprocess(side=14, resize=16).resized(image[None])[0]
    np.testing.assert_array_equal(made, np.asarray(whole)[1:15, 5:19])
    stretched = Preprocess(side=16, resize=16, stretch=True, resample="bilinear").resized(image[None])[0]
    np.testing.assert_array_equal(
        stretched, np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR))
    )


def test_grey_pictures_get_three_channels():
    made = Preprocess(side=4, resize=4).resized(np.full((2, 4, 4, 1), 7, np.uint8))
    np.testing.assert_array_equal(made, np.full((2, 4, 4, 3), 7))


def test_another_size_keeps_the_share_of_the_margin():
    assert Preprocess(side=224, resize=256).of_size(112).resize == 128


def test_what_the_configs_of_preprocessing_say():
    default = Preprocess(side=224, resize=256)
    said = {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}, "resample": 2}
    assert of_hugging_face(said, default, "here") == Preprocess(side=56, resize=64, resample="bilinear")
    said = {"size": {"height": 48, "width": 48}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
    expected = Preprocess(side=48, resize=48, stretch=True, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert of_hugging_face(said, default, "here") == expected
    assert of_timm({"input_size": [3, 32, 32], "crop_pct": 0.9, "interpolation": "bicubic"}, "here").resize == 35
    with pytest.raises(InputError, match="resizes by 'lanczos'"):
        of_timm({"interpolation": "lanczos"}, "here")
    with pytest.raises(InputError, match="only squares"):
        of_hugging_face({"size": {"height": 48, "width": 40}}, default, "here")


def test_a_nested_config_leaves_out_the_defaults():
    kind = of_config({"model_type": "siglip", "vision_config": {"image_size": 512}}, None, dict, "here")
    settings = kind.settings
    assert (settings.width, settings.depth, settings.patch, settings.side) == (768, 12, 16, 512)
    assert (settings.activation, settings.pooling) == ("gelu_tanh", "attention")
    settings = of_config({"model_type": "clip"}, None, dict, "here").settings
    assert (settings.patch, settings.activation, settings.projection) == (32, "quick_gelu", 512)


def test_what_a_config_lacks_is_named():
    with pytest.raises(InputError, match="has no num_hidden_layers"):
        of_config({"model_type": "dinov2", "hidden_size": 8}, None, dict, "here")

"""A pretrained encoder as the backbone of a method, all of it trained or its last blocks."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoders import FOLDER, images
from flax import nnx

import jaxdc
from jaxdc import cli
from jaxdc.errors import InputError
from jaxdc.methods.base import Experiment, Optimizer, Schedule, Stage
from jaxdc.nn.bert import Bert, BertSettings
from jaxdc.nn.encoders import open_encoder
from jaxdc.nn.encoders.efficientnet import EfficientNetSettings
from jaxdc.nn.encoders.kinds import ResNetSettings
from jaxdc.nn.encoders.model import network_of
from jaxdc.nn.encoders.vit import ViTSettings
from jaxdc.nn.pretrained import Pretrained
from jaxdc.train.optimizer import make_optimizer

pytestmark = pytest.mark.usefixtures("one_device_alone")

DINO = FOLDER / "dinov2"
VIT = ViTSettings(width=4, depth=3, heads=2, hidden=4, patch=2, side=4, registers=1, norm_before=True)
LITE = EfficientNetSettings(stem=4, stages=((1, 3, 1, 1, 4), (2, 5, 2, 2, 4)), head=4)
BERT = BertSettings(vocabulary=5, max_tokens=4, width=4, depth=3, heads=2, hidden=4)


def backbone(**settings):
    return Pretrained.of(open_encoder(DINO, side=14), **settings)


def test_it_starts_as_the_encoder():
    model = open_encoder(DINO, side=14)
    x = model.preprocess.normalized(jnp.asarray(images(14)))
    network = backbone().make(14, 3, nnx.Rngs(0))
    made, expected = (jax.jit(lambda x, n=n: n(x))(x) for n in (network, model.load()))
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize(("n", "trained"), [(None, 42), (2, 42), (1, 20), (0, 2)])
def test_the_last_blocks_alone_are_parameters(n, trained):
    network = backbone(trained_blocks=n).make(14, 3, nnx.Rngs(0))
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(network, nnx.Param))]
    assert len(paths) == trained
    if n in (0, 1):
        assert {path[:2] for path in paths if path[0] == "blocks"} == ({("blocks", 1)} if n else set())
        assert {path[0] for path in paths} <= {"blocks", "norm"}


def test_more_blocks_than_there_are():
    with pytest.raises(InputError, match="has 2 blocks, of which 3"):
        backbone(trained_blocks=3).make(14, 3, nnx.Rngs(0))
    with pytest.raises(InputError, match="must be at least 0"):
        backbone(trained_blocks=-1)


def network(settings):
    if isinstance(settings, BertSettings):
        return Bert(settings, nnx.Rngs(0))
    return network_of(settings, jnp.float32, nnx.Rngs(0))


@pytest.mark.full
@pytest.mark.parametrize(
    ("settings", "n_blocks", "stem", "after"),
    [
        (VIT, 3, {"patches", "class_token", "registers", "positions", "before"}, {"norm"}),
        (ResNetSettings(width=2), 16, {"first"}, set()),
        (LITE, 3, {"first"}, {"last"}),
        (BERT, 3, {"words", "positions", "segments", "norm"}, set()),
    ],
    ids=["vit", "resnet", "efficientnet", "bert"],
)
def test_each_block_has_a_rate_of_its_own(settings, n_blocks, stem, after):
    made = nnx.eval_shape(lambda: network(settings))
    params = {"encoder": nnx.to_pure_dict(nnx.state(made, nnx.Param)), "head": np.float32(0)}
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), params)
    optimizer = Optimizer(name="sgd", learning_rate=0.1, momentum=0.0, encoder_rate=0.5, layer_decay=0.8)
    tx = make_optimizer(Stage(method=jaxdc.KMeans(n_clusters=2), steps=1, optimizer=optimizer), 256)
    updates, _ = tx.update(jax.tree.map(np.ones_like, params), tx.init(params), params)
    assert float(updates["head"]) == pytest.approx(-0.1)
    seen = set()
    for path, update in jax.tree_util.tree_leaves_with_path(updates["encoder"]):
        name = path[0].key
        # Block l of L, from 1 to L: what comes before all is l = 0, and what follows them learns as the last.
        level = path[1].key + 1 if name == "blocks" else 0 if name in stem else n_blocks
        np.testing.assert_allclose(update, -0.1 * 0.5 * 0.8 ** (n_blocks - level), rtol=1e-6)
        seen.add(name)
    assert seen == {"blocks", *stem, *after}


def test_the_rates_of_the_last_blocks_are_the_same_without_the_others():
    params = {"encoder": nnx.state(backbone(trained_blocks=1).make(14, 3, nnx.Rngs(0)), nnx.Param)}
    optimizer = Optimizer(name="sgd", learning_rate=1.0, momentum=0.0, layer_decay=0.5)
    tx = make_optimizer(Stage(method=jaxdc.KMeans(n_clusters=2), steps=1, optimizer=optimizer), 256)
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    assert all(np.all(leaf == -1) for leaf in jax.tree.leaves(updates))


def test_an_encoder_without_blocks_has_no_rates_for_them(tmp_path):
    x = np.random.default_rng(0).random((32, 4)).astype(np.float32)
    schedule = Schedule(layer_decay=0.5, batch_size=16)
    with pytest.raises(InputError, match="layer_decay is 0.5, but there is no encoder here with blocks to train"):
        jaxdc.fit(jaxdc.DEC(n_clusters=2), x, schedule=schedule, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="layer_decay must be above 0 and at most 1"):
        Optimizer(layer_decay=1.5)


@pytest.mark.full
def test_a_step_moves_each_block_by_its_rate(data):
    """The same step with and without a decay: the ratio of how far each parameter moved is known."""
    seen = open_encoder(DINO, side=14).preprocess
    views = jaxdc.augment.Weak(size=14, mean=seen.mean, std=seen.std)
    method = jaxdc.CC(n_clusters=2, backbone=backbone(), augmentation=views)
    start = nnx.state(backbone().make(14, 3, nnx.Rngs(0)), nnx.Param)

    def moved(decay):
        sgd = Optimizer(name="sgd", learning_rate=1.0, layer_decay=decay)
        stage = Stage(method=method, steps=1, batch_size=32, optimizer=sgd)
        result = jaxdc.fit(Experiment((stage,)), np.load(data)["x"], devices=jax.devices()[:1])
        trained = nnx.state(result.handover("run").parts["encoder"], nnx.Param)
        return jax.tree_util.tree_leaves_with_path(jax.tree.map(lambda a, b: np.asarray(a - b), trained, start))

    ratios = {}
    for (path, plain), (_, decayed) in zip(moved(1.0), moved(0.5), strict=True):
        part = path[1].key if path[0].key == "blocks" else path[0].key
        if np.linalg.norm(plain) > 1e-4:  # far above the rounding of a parameter
            ratios.setdefault(part, []).append(np.linalg.norm(decayed) / np.linalg.norm(plain))
    expected = {"patches": 0.25, "class_token": 0.25, "positions": 0.25, 0: 0.5, 1: 1.0, "norm": 1.0}
    assert ratios.keys() == expected.keys()
    for part, found in ratios.items():
        np.testing.assert_allclose(found, expected[part], rtol=0.01, err_msg=str(part))


def test_views_of_another_size_and_other_weights_are_refused():
    with pytest.raises(InputError, match="views of 14 pixels a side.*have 28.*augmentation.size to 14"):
        backbone().make(28, 3, nnx.Rngs(0))
    with pytest.raises(InputError, match="others by now"):
        dataclasses.replace(backbone(), checksum="0").make(14, 3, nnx.Rngs(0))


@pytest.fixture
def data(tmp_path):
    x = np.random.default_rng(0).integers(0, 60, (32, 14, 14, 3)).astype(np.uint8)
    x[::2, ..., 0] += 190
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(32) % 2)
    return tmp_path / "x.npz"


@pytest.mark.full
def test_scan_goes_on_from_an_encoder(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = ["--data", str(data), "--encoder", str(DINO), "--encoder-size", "14", "--train-encoder"]
    short = ["--epochs", "1", "--batch-size", "16", "--n-neighbors", "2", "--trained-blocks", "1", "--no-report"]
    short += ["--layer-decay", "0.75"]
    cli.main(["train", "scan", *chosen, *short, "--workdir", "run"])
    config = json.loads((tmp_path / "run" / "config.json").read_text())["run"]
    assert len(config["stages"]) == 1 and config["stages"][0]["optimizer"]["encoder_rate"] == 0.1
    assert config["stages"][0]["optimizer"]["layer_decay"] == 0.75
    assert config["stages"][0]["method"]["backbone"]["kind"] == "dinov2"
    assert str(DINO) not in json.dumps(config)
    result = jaxdc.load("run")  # which needs no encoder
    np.testing.assert_array_equal(result.predict(np.load(data)["x"]), result.labels)
    trained, start = result.handover("run").parts["encoder"], backbone().make(14, 3, nnx.Rngs(0))
    moved = [
        bool(np.any(trained.blocks[i].mlp.wide.kernel[...] != start.blocks[i].mlp.wide.kernel[...]))
        for i in range(2)
    ]
    assert moved == [False, True]


def test_what_the_command_can_not_train(data, capsys):
    chosen = ["--data", str(data), "--encoder", str(DINO), "--encoder-size", "14", "--train-encoder"]
    for arguments, sentence in (
        (["train", "kmeans", *chosen], "trains no encoder"),
        (["train", "scan", "--data", str(data), "--train-encoder"], "needs to know which"),
        (["train", "scan", "--data", str(data), "--trained-blocks", "1"], "means nothing without"),
    ):
        with pytest.raises(SystemExit, match="2"):
            cli.main(arguments)
        assert sentence in capsys.readouterr().err


@pytest.mark.full
def test_contrastive_clustering_goes_on_from_an_encoder(data):
    seen = open_encoder(DINO, side=14).preprocess
    views = jaxdc.augment.Weak(size=14, mean=seen.mean, std=seen.std)
    method = jaxdc.CC(n_clusters=2, backbone=backbone(trained_blocks=0), augmentation=views)
    schedule = Schedule(epochs=1, batch_size=16, encoder_rate=0.5)
    result = jaxdc.fit(method, np.load(data)["x"], schedule=schedule, devices=jax.devices()[:1])
    assert result.embeddings.shape == (32, 24)
    assert result.config["run"]["stages"][0]["optimizer"]["encoder_rate"] == 0.5

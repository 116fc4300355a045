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
from jaxdc.methods.base import Schedule
from jaxdc.nn.encoders import open_encoder
from jaxdc.nn.pretrained import Pretrained

pytestmark = pytest.mark.usefixtures("one_device_alone")

DINO = FOLDER / "dinov2"


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
    cli.main(["train", "scan", *chosen, *short, "--workdir", "run"])
    config = json.loads((tmp_path / "run" / "config.json").read_text())["run"]
    assert len(config["stages"]) == 1 and config["stages"][0]["optimizer"]["encoder_rate"] == 0.1
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

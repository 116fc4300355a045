"""``jaxdc sample`` and ``Result.sample``."""

import csv

import numpy as np
import pytest
from PIL import Image

from jaxdc import KMeans, VaDE, cli, fit, load
from jaxdc.data import ArraySource, StandardizedSource
from jaxdc.edit import edit_run
from jaxdc.errors import InputError
from jaxdc.methods.base import Experiment, Stage
from jaxdc.sample import picture_grid, sample_run

SMALL = {"hidden": (8,), "latent": 2}


def main(*arguments):
    cli.main([str(argument) for argument in arguments])


def run_of(x, folder, n_clusters=3, **settings):
    stage = Stage(method=VaDE(n_clusters=n_clusters, **SMALL, **settings), steps=4, batch_size=16)
    result = fit(Experiment((stage,)), x)
    result.save(folder)
    return result


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "run"
    x = np.random.default_rng(0).integers(0, 256, size=(48, 5, 4, 3)).astype(np.uint8)
    return run_of(x, folder), folder


def test_picture_grid():
    x = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 2, 2, 1), np.uint8)
    grid = picture_grid(x, 2)[..., 0]
    assert grid.tolist() == [
        [0, 0, 255, 1, 1],
        [0, 0, 255, 1, 1],
        [255] * 5,
        [2, 2, 255, 255, 255],
        [2, 2, 255, 255, 255],
    ]
    np.testing.assert_array_equal(picture_grid(np.array([[[[0.5]]], [[[2.0]]]]), 2)[..., 0], [[128, 255, 255]])


def test_pictures_are_drawn_by_seed_and_survive_saving(pictures):
    result, folder = pictures
    x = result.sample([0, 0, 2], seed=4)
    assert x.shape == (3, 5, 4, 3) and x.dtype == np.uint8
    assert (x[0] != x[1]).any()
    np.testing.assert_array_equal(load(folder).sample([0, 0, 2], seed=4), x)
    assert (result.sample([0, 0, 2], seed=5) != x).any()


def test_the_command_writes_pictures(pictures, tmp_path, capsys):
    result, folder = pictures
    main("sample", folder, "--count", 5)
    assert f"wrote {folder / 'samples.png'}" in capsys.readouterr().err
    with Image.open(folder / "samples.png") as grid:
        assert grid.size == (5 * 5 - 1, 3 * 6 - 1) and grid.mode == "RGB"  # a row for each cluster
    main("sample", folder, "--cluster", 1, "--count", 9, "--output", tmp_path / "x.png", "--seed", 2)
    with Image.open(tmp_path / "x.png") as grid:
        expected = picture_grid(result.sample([1] * 9, seed=2), 3)
        np.testing.assert_array_equal(np.asarray(grid), expected)
    main("sample", folder, "--cluster", 2, 0, "--count", 2, "--output", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["cluster"].tolist() == [2, 2, 0, 0]
        np.testing.assert_array_equal(arrays["x"], result.sample([2, 2, 0, 0]))


@pytest.mark.full
def test_a_table_keeps_its_columns_and_units(tmp_path):
    rng = np.random.default_rng(0)
    table = "a,b\n" + "".join(f"{x:.3f},{y:.3f}\n" for x, y in rng.normal([1000, -3], [50, 0.1], size=(60, 2)))
    (tmp_path / "t.csv").write_text(table)
    folder, narrow = tmp_path / "run", ("--hidden", 4, "--latent", 1)
    short = ("--epochs", 1, "--pretrain-epochs", 1, "--batch-size", 32, "--no-report")
    main("train", "vade", "--data", tmp_path / "t.csv", "--n-clusters", 2, "--standardize", *narrow, *short,
         "--workdir", folder)  # fmt: skip
    main("sample", folder, "--cluster", 1, "--count", 20)
    rows = list(csv.DictReader((folder / "samples.csv").open()))
    assert len(rows) == 20 and list(rows[0]) == ["cluster", "a", "b"] and rows[0]["cluster"] == "1"
    a, b = (np.array([float(row[name]) for row in rows]) for name in "ab")
    # A mean of 1000 and a deviation of 50 come back; the network has learnt little else in this time.
    assert np.all(abs(a - 1000) < 500) and np.all(abs(b + 3) < 1)
    main("sample", folder, "--count", 3, "--output", tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (6, 2)


@pytest.mark.full
def test_standardized_arrays_are_drawn_in_their_units():
    x = np.random.default_rng(0).normal([100.0, 0.0], [5.0, 1e-3], size=(60, 2))
    source = StandardizedSource.of(ArraySource(x))
    stage = Stage(method=VaDE(n_clusters=2, **SMALL), steps=2, batch_size=16)
    drawn = fit(Experiment((stage,)), source).sample([0, 1] * 20)
    assert abs(drawn[:, 0] - 100).max() < 50 and abs(drawn[:, 1]).max() < 1e-2


@pytest.mark.full
def test_edited_clusters(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, size=(48, 3, 3, 1)).astype(np.uint8)
    trained = run_of(x, tmp_path / "run", n_clusters=4)
    edit_run(tmp_path / "run", merge=[[1, 3]])
    merged = load(tmp_path / "run")
    assert merged.edits.parts_of(1, 4) == [1, 3] and merged.edits.parts_of(0, 4) == [0]
    assert merged.sample([1] * 4).shape == (4, 3, 3, 1)
    np.testing.assert_array_equal(merged.sample([0, 2]), trained.sample([0, 2]))
    with pytest.raises(InputError, match="there is no cluster 3: this run has 0, 1, 2"):
        merged.sample([3])
    largest = int(np.bincount(merged.labels).argmax())
    edit_run(tmp_path / "run", divide=[largest])
    with pytest.raises(InputError, match=f"cluster {largest} was divided after the training"):
        sample_run(tmp_path / "run", [largest])
    with pytest.raises(InputError, match="cluster 4 was divided"):
        sample_run(tmp_path / "run", [4])


@pytest.mark.full
def test_what_can_not_be_drawn(pictures, tmp_path, capsys):
    fit(KMeans(n_clusters=2), np.random.default_rng(0).normal(size=(20, 3))).save(tmp_path / "k")
    with pytest.raises(SystemExit) as stopped:
        main("sample", tmp_path / "k", "--cluster", 1)
    assert stopped.value.code == 2
    assert "error: KMeans can't draw new samples of a cluster: train vade" in capsys.readouterr().err
    assert not (tmp_path / "k" / "samples.csv").exists()
    folder = pictures[1]
    for arguments, message in (
        ({"clusters": [3]}, "there is no cluster 3: this run has 0, 1, 2"),
        ({"clusters": [-1]}, "there is no cluster -1"),
        ({"count": 0}, "--count must be at least 1"),
        ({"count": 90_000}, "makes more than 100,000 samples"),
        ({"seed": -1}, "--seed must be at least 0"),
        ({"output": "x.jpg"}, r"--output must end in \.png, \.csv, \.npy, \.npz"),
        ({"output": "x.csv"}, "are images: --output must end in"),
        ({"output": tmp_path / "nowhere" / "x.png"}, r"can't write x\.png: there is no folder"),
    ):
        with pytest.raises(InputError, match=message):
            sample_run(folder, **arguments)
    with pytest.raises(InputError, match="there is no folder|is not a run folder"):
        sample_run(tmp_path / "no run")

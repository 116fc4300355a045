"""``jaxdc duplicates`` on pictures and texts."""

import csv

import numpy as np
import pytest
from PIL import Image

from jaxdc import KMeans, cli, fit
from jaxdc.duplicates import duplicates_of_run
from jaxdc.errors import InputError


def main(*arguments):
    cli.main([str(argument) for argument in arguments])


def test_pictures(tmp_path, capsys):
    """A copy, one that was compressed and made darker, and others."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    pictures = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((32, 32)) for _ in range(6)]
    for i, picture in enumerate(pictures):
        picture.save(folder / f"{i}.png")
    pictures[1].save(folder / "a copy of 1.bmp")
    pictures[2].point(lambda value: value // 2 + 20).save(folder / "dark 2.jpg", quality=70)
    main("train", "kmeans", "--data", folder, "--workdir", tmp_path / "run", "--n-clusters", 2)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "1 samples are equal to an earlier one; with nearly equal ones 2" in page
    capsys.readouterr()
    main("duplicates", tmp_path / "run")
    shown = capsys.readouterr()
    assert "1 samples are equal to an earlier one; with near duplicates 2, in 2 groups" in shown.err
    rows = list(csv.DictReader((tmp_path / "run" / "duplicates.csv").open()))
    names = [(row["group"], row["sample"].rpartition("/")[2], row["equal_to_earlier"]) for row in rows]
    assert sorted(names) == [
        ("0", "1.png", "no"),
        ("0", "a copy of 1.bmp", "yes"),
        ("1", "2.png", "no"),
        ("1", "dark 2.jpg", "no"),
    ] or sorted(names) == [
        ("0", "1.png", "yes"),
        ("0", "a copy of 1.bmp", "no"),
        ("1", "2.png", "no"),
        ("1", "dark 2.jpg", "no"),
    ]


@pytest.mark.full
def test_texts(tmp_path):
    texts = ["a cat sat", "A cat SAT!", "a cat sat", "dogs run fast", "?!", "stocks fell", "fast run dogs", "rain"]
    (tmp_path / "x.txt").write_text("\n".join(texts))
    main("train", "kmeans", "--data", tmp_path / "x.txt", "--workdir", tmp_path / "run", "--n-clusters", 2)
    found, _ = duplicates_of_run(tmp_path / "run")
    assert found.exact == [[0, 2]] and found.near == [[0, 1, 2], [3, 6]]
    assert (found.n_exact, found.n_near) == (1, 3)


@pytest.mark.full
def test_vectors_only_by_their_features(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    x[7] = x[3]
    np.save(tmp_path / "x.npy", x)
    main("train", "kmeans", "--data", tmp_path / "x.npy", "--workdir", tmp_path / "run", "--n-clusters", 2)
    with pytest.raises(InputError, match="--on embedding"):
        duplicates_of_run(tmp_path / "run")
    found, _ = duplicates_of_run(tmp_path / "run", on="embedding", threshold=0.9999)
    assert found.exact == [[3, 7]]


@pytest.mark.parametrize("threshold", [0.0, 1.5, float("nan")])
def test_a_threshold_out_of_range(tmp_path, threshold):
    with pytest.raises(InputError, match="a cosine above 0 and at most 1"):
        duplicates_of_run(tmp_path, threshold=threshold)


@pytest.mark.full
def test_black_pictures_are_equal(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    x[[2, 9]] = 0
    np.save(tmp_path / "x.npy", x)
    main("train", "kmeans", "--data", tmp_path / "x.npy", "--workdir", tmp_path / "run", "--n-clusters", 2)
    found, _ = duplicates_of_run(tmp_path / "run")
    assert found.exact == [[2, 9]] and found.near == [[2, 9]]


@pytest.mark.full
def test_an_unfinished_run(tmp_path):
    result = fit(KMeans(n_clusters=2), np.random.default_rng(0).normal(size=(9, 3)), workdir=tmp_path / "run")
    assert result.labels.shape == (9,)
    (tmp_path / "run" / "metrics.json").unlink()
    with pytest.raises(InputError, match="not finished"):
        duplicates_of_run(tmp_path / "run")


@pytest.mark.full
def test_bright_pictures_of_different_things_are_no_duplicates(tmp_path):
    """Their brightness alone would give them a cosine of 0.99."""
    x = np.random.default_rng(0).integers(200, 256, (16, 8, 8), np.uint8)
    np.save(tmp_path / "x.npy", x)
    main("train", "kmeans", "--data", tmp_path / "x.npy", "--workdir", tmp_path / "run", "--n-clusters", 2)
    found, _ = duplicates_of_run(tmp_path / "run")
    assert found.near == []

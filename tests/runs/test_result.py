import csv
import json

import numpy as np
import pytest

from jaxdc import InputError, KMeans, fit, load
from jaxdc.data import ArraySource

pytestmark = pytest.mark.usefixtures("one_device_alone")


@pytest.fixture
def run(tmp_path, one_device):
    x = np.random.default_rng(0).normal(size=(60, 3)) * [1.0, 100.0, 0.01]
    names = [f'a, "{i}"' for i in range(60)]
    fit(
        KMeans(n_clusters=3),
        ArraySource(x, sample_names=names),
        workdir=tmp_path / "run",
        standardize=True,
        devices=one_device,
    )
    return tmp_path / "run", x


def test_the_folder_holds_what_the_readme_says(run):
    folder, _ = run
    assert {path.name for path in folder.iterdir()} == {
        "checksums.json",
        "config.json",
        "metrics.jsonl",
        "metrics.json",
        "assignments.csv",
        "embeddings.npy",
        "probabilities.npy",
        "checkpoints",
    }
    metrics = json.loads((folder / "metrics.json").read_text())
    wanted = {"acc", "nmi", "ari", "n_samples", "n_clusters", "protocol", "seed", "seconds", "images_per_second"}
    assert wanted <= set(metrics)
    assert metrics["acc"] is None
    assert metrics["n_samples"] == 60
    with (folder / "assignments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["sample", "cluster", "confidence"]
    assert rows[3]["sample"] == 'a, "3"'
    probabilities = np.load(folder / "probabilities.npy")
    assert [int(row["cluster"]) for row in rows] == probabilities.argmax(1).tolist()
    assert np.load(folder / "embeddings.npy").shape == (60, 3)


def test_new_samples_are_standardized_like_the_old(run):
    folder, x = run
    result = load(folder)
    np.testing.assert_array_equal(result.predict(x), result.labels)
    np.testing.assert_allclose(result.embeddings.std(axis=0), 1.0, rtol=1e-3)
    assert result.sample_names[3] == 'a, "3"'


def test_new_samples_must_be_like_the_old(run, one_device):
    folder, _ = run
    with pytest.raises(InputError, match=r"samples of shape \[4\], but this run was trained on \[3\]"):
        load(folder).predict(np.ones((5, 4)))
    images = np.random.default_rng(0).integers(0, 255, size=(30, 4, 4, 1)).astype(np.uint8)
    result = fit(KMeans(n_clusters=2), images, devices=one_device)
    np.testing.assert_array_equal(result.predict(images / 255.0), result.labels)
    with pytest.raises(InputError, match="floats from 0 to 1"):
        result.predict(images.astype(float))
    on_floats = fit(KMeans(n_clusters=2), images.astype(float), devices=one_device)
    with pytest.raises(InputError, match="trained on floats"):
        on_floats.predict(images)


def test_one_sample_or_many_blocks(run):
    result, x = load(run[0]), run[1]
    np.testing.assert_array_equal(result.predict(x[:1]), result.labels[:1])
    many = np.tile(x, (200, 1))
    np.testing.assert_array_equal(result.predict(many), np.tile(result.labels, 200))


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda folder: (folder / "metrics.json").unlink(), "not finished"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "embeddings.npy").write_text("x"), "damaged"),
        (lambda folder: (folder / "assignments.csv").unlink(), "missing"),
    ],
)
def test_damage_is_told(damage, word, run):
    damage(run[0])
    with pytest.raises(InputError, match=word):
        load(run[0])


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    from jaxdc.writing import replacing

    def half():
        with replacing(tmp_path / "table.csv") as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["outputs", "checkpoint"])
def test_a_full_disk_is_one_sentence(where, tmp_path, monkeypatch, one_device):
    import errno

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "outputs":
        monkeypatch.setattr(np, "save", full)
    else:
        from orbax.checkpoint import v1 as ocp

        monkeypatch.setattr(ocp.training.Checkpointer, "save_async", full)
    with pytest.raises(InputError, match="the disk is full"):
        fit(
            KMeans(n_clusters=2),
            np.random.default_rng(0).random((20, 2)),
            workdir=tmp_path / "r",
            devices=one_device,
        )
    assert not (tmp_path / "r" / "metrics.json").exists()
    assert not list((tmp_path / "r").glob(".*"))

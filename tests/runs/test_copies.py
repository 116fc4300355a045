"""Copies made ahead of time are trained on; what is reported is of the originals."""

import csv
import itertools

import numpy as np
import pytest

from jaxdc import InputError, augment, fit, load
from jaxdc.cli import main
from jaxdc.data import ArraySource
from jaxdc.methods import CC, DEC, KMeans, SimCLR
from jaxdc.methods.base import Experiment, Schedule, Stage
from jaxdc.runs.copies import augmentation_of, with_copies
from jaxdc.train.stage_run import Stopped

pytestmark = pytest.mark.usefixtures("one_device_alone")

N, SMALL = 60, Schedule(pretrain_epochs=1, epochs=1, batch_size=20)


def images(channels=1, seed=0):
    rng = np.random.default_rng(seed)
    means = rng.uniform(40, 215, size=(3, 6, 6, channels))
    labels = np.arange(N) % 3
    x = means[labels] + rng.normal(scale=10, size=(N, 6, 6, channels))
    return ArraySource(np.clip(x, 0, 255).astype(np.uint8), labels, sample_names=[f"image {i}" for i in range(N)])


def dec():
    return DEC(n_clusters=3, hidden=(8,), latent=2, refresh_steps=2, tolerance=0.0)


def make(source, method=None, n_copies=2, seed=0, resident_bytes=2**31):
    return with_copies(source, method or dec(), n_copies, seed=seed, resident_bytes=resident_bytes)


def test_the_originals_come_first_and_copies_differ_from_them():
    originals = images()
    source = make(originals)
    assert (source.n_samples, source.n_reported, source.shape) == (3 * N, N, (6, 6, 1))
    assert source.array.dtype == np.uint8
    parts = source.array.reshape(3, N, 6, 6, 1)
    np.testing.assert_array_equal(parts[0], originals.array)
    for one, other in itertools.combinations(parts, 2):
        assert (one != other).any(axis=(1, 2, 3)).all()
    # Turned and shifted by a little, a copy stays near its own original.
    distances = ((parts[1][:, None].astype(float) - parts[0][None]) ** 2).mean(axis=(2, 3, 4))
    assert np.mean(originals.labels[distances.argmin(axis=1)] == originals.labels) > 0.9


def test_the_same_seed_gives_the_same_copies():
    np.testing.assert_array_equal(make(images(), seed=3).array, make(images(), seed=3).array)
    assert (make(images(), seed=3).array[N:] != make(images(), seed=4).array[N:]).any()


def test_the_augmentation_is_the_methods_own_where_it_has_one():
    own = augment.Weak(size=4, crop=(0.5, 1.0), mean=(0.5,), std=(0.5,))
    assert augmentation_of(SimCLR(n_clusters=3, augmentation=own), 3) == augment.Weak(crop=(0.5, 1.0))
    assert augmentation_of(dec(), 1) is augment.random_rotate_shift
    assert augmentation_of(KMeans(n_clusters=3), 3) == augment.Weak()
    assert not augmentation_of(KMeans(n_clusters=3), 1).flip
    weak = make(images(3), CC(n_clusters=3))
    assert weak.array.shape == (3 * N, 6, 6, 3)
    assert weak.description == {"n_copies": 2, "augmentation": repr(CC(n_clusters=3).augmentation)}


def test_floats_stay_floats():
    x = images().array / np.float32(255)
    source = make(ArraySource(x))
    assert source.array.dtype == np.float32
    assert 0 <= source.array.min() <= source.array.max() <= 1
    np.testing.assert_array_equal(source.array[:N], x)
    assert source.rms() == ArraySource(x).rms()


@pytest.mark.full
def test_results_are_of_the_originals(tmp_path, one_device):
    run = {"schedule": SMALL, "copies": 2, "workdir": tmp_path / "run", "devices": one_device}
    result = fit(dec(), images(), **run)
    assert result.labels.shape == (N,)
    assert result.probabilities.shape == (N, 3)
    assert result.embeddings.shape == (N, 2)
    metrics = result.metrics
    assert metrics["n_samples"] == N
    assert metrics["protocol"].startswith("all samples and 2 augmented copies of each; trained on them")
    assert metrics["protocol"].endswith("scored on the first 60 of 180; one seed")
    with (tmp_path / "run" / "assignments.csv").open(newline="") as file:
        assert [row["sample"] for row in csv.DictReader(file)] == [f"image {i}" for i in range(N)]
    # But an epoch is of all: 9 batches of 20 in each stage.
    assert [row["step"] for row in result.history if row["stage"] == 1][-1] == 9
    # Shares are of 60 samples.
    for row in result.history:
        if "largest_cluster" in row:
            assert row["largest_cluster"] * N == pytest.approx(round(row["largest_cluster"] * N))
    back = load(tmp_path / "run", devices=one_device)
    np.testing.assert_array_equal(back.predict(images()), result.labels)
    assert back.config["run"]["data"]["copies"]["augmentation"] == "random_rotate_shift"
    assert fit(dec(), images(), **run).metrics == metrics
    with pytest.raises(InputError, match=r"data.n_samples is 180 there and 120 here"):
        fit(dec(), images(), **{**run, "copies": 1})
    result.save(tmp_path / "saved")
    np.testing.assert_array_equal(load(tmp_path / "saved", devices=one_device).labels, result.labels)


@pytest.mark.full
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, one_device):
    run = {"schedule": SMALL, "copies": 1, "devices": one_device}
    whole = fit(dec(), images(), **run)
    calls = itertools.count()
    with pytest.raises(Stopped):
        fit(dec(), images(), workdir=tmp_path / "run", should_stop=lambda: next(calls) > 4, **run)
    result = fit(dec(), images(), workdir=tmp_path / "run", **run)
    np.testing.assert_array_equal(result.probabilities, whole.probabilities)
    np.testing.assert_array_equal(result.embeddings, whole.embeddings)


@pytest.mark.full
def test_the_last_stage_of_an_experiment_decides(one_device):
    experiment = Experiment((Stage(method=KMeans(n_clusters=3), steps=0),))
    result = fit(experiment, images(3), copies=1, devices=one_device)
    assert result.config["run"]["data"]["copies"] == {
        "n_copies": 1,
        "augmentation": repr(augment.Weak()),
    }
    assert result.labels.shape == (N,)


@pytest.mark.parametrize(
    ("source", "options", "word"),
    [
        (ArraySource(np.ones((9, 4))), {}, "images with 1 or 3 channels"),
        (images(2), {}, "images with 1 or 3 channels"),
        (images(), {"n_copies": -1}, "at least 0, but is -1"),
        (images(), {"resident_bytes": 2 * N * 36}, "make fewer"),
        (ArraySource(images().array.astype(float)), {}, "within 0 and 1, but array has values from"),
    ],
)
def test_what_can_not_be_copied(source, options, word):
    with pytest.raises(InputError, match=word):
        make(source, **options)


def test_more_clusters_than_originals(one_device):
    with pytest.raises(InputError, match="from 2 to 60"):
        fit(KMeans(n_clusters=61), images(), copies=2, devices=one_device)


@pytest.mark.full
def test_the_flag(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["train", "kmeans", "--data", "digits", "--copies", "1", "--n-init", "2", "--no-report"])
    error = capsys.readouterr().err
    assert "digits: 3,594 samples" in error
    assert "scored on the first 1,797 of 3,594" in error
    with pytest.raises(SystemExit):
        main(["train", "kmeans", "--data", "digits", "--copies", "1", "--resident-gib", "0.0001", "--no-report"])
    assert "--resident-gib" in capsys.readouterr().err

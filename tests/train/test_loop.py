"""The loop: clocks, early stop, resume, inputs, health."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from jaxdc import fit
from jaxdc.data import ArraySource
from jaxdc.errors import InputError
from jaxdc.methods import AE, DEC, IDEC, KMeans, NMFKMeans
from jaxdc.methods.base import Experiment, Optimizer, Schedule, Stage
from jaxdc.train import stage_run
from jaxdc.train.health import health, warning
from jaxdc.train.stage_run import Stopped

SMALL = {"hidden": (16,), "latent": 4}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    means = rng.uniform(0, 255, size=(4, 6, 6, 1))
    labels = rng.integers(4, size=200)
    x = np.clip(means[labels] + rng.normal(scale=20, size=(200, 6, 6, 1)), 0, 255).astype(np.uint8)
    return x, labels


def dec(**settings):
    return DEC(n_clusters=4, refresh_steps=5, **SMALL, **settings)


def experiment(method=None, steps=20, pretrain_steps=12, batch_size=40):
    method = method or dec(tolerance=0.0)
    return Experiment(
        (
            Stage(method=AE(n_clusters=4, **SMALL), steps=pretrain_steps, batch_size=batch_size),
            Stage(method=method, steps=steps, batch_size=batch_size),
        )
    )


class Stream(ArraySource):
    """An array that pretends to be too large for the device."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.array = None


def test_the_slow_clock_ticks_at_the_start_and_every_interval(images, one_device):
    result = fit(experiment(), *images, devices=one_device)
    ticks = [row["step"] for row in result.history if "active_clusters" in row]
    assert ticks == [0, 5, 10, 15]
    assert all(row["stage"] == 2 for row in result.history if "active_clusters" in row)
    assert [row.get("churn") is None for row in result.history if "active_clusters" in row] == [True] + [False] * 3


def test_a_method_without_a_clock_is_refreshed_once_at_the_very_end(images, one_device):
    stages = (Stage(method=AE(n_clusters=4, **SMALL), steps=12, batch_size=40),)
    result = fit(Experiment(stages), *images, devices=one_device)
    assert [row["step"] for row in result.history if "active_clusters" in row] == [12]
    assert not np.array_equal(result.labels, np.zeros(200))


def test_training_stops_when_few_samples_change_cluster(images, one_device):
    result = fit(experiment(dec(tolerance=1.0)), *images, devices=one_device)
    steps = [row["step"] for row in result.history if row["stage"] == 2 and "loss" in row]
    assert max(steps) == 5


def test_labels_change_no_bit_of_training(images, one_device):
    x, labels = images
    with_labels, without = (
        fit(experiment(), x, labels, devices=one_device),
        fit(experiment(), x, devices=one_device),
    )
    np.testing.assert_array_equal(with_labels.probabilities, without.probabilities)
    assert without.metrics["acc"] is without.metrics["nmi"] is without.metrics["ari"] is None
    assert 0 < with_labels.metrics["acc"] <= 1


def test_the_seed_decides(images, one_device):
    x, _ = images
    first, second = (fit(experiment(), x, seed=seed, devices=one_device) for seed in (0, 1))
    assert not np.array_equal(first.embeddings, second.embeddings)


def test_streaming_and_resident_data_train_alike(images, one_device):
    """Other orders of the samples, the same method: both must solve an easy problem."""
    x, labels = images
    for source in (ArraySource(x, labels), Stream(x, labels)):
        result = fit(experiment(steps=60, pretrain_steps=200), source, devices=one_device)
        assert result.metrics["nmi"] > 0.8
        assert {row["step"] for row in result.history if row["stage"] == 1 and "loss" in row} >= {200}


@pytest.mark.parametrize("kind", [ArraySource, pytest.param(Stream, marks=pytest.mark.full)])
@pytest.mark.parametrize(
    "stop_at", [pytest.param(1, marks=pytest.mark.full), 3, pytest.param(8, marks=pytest.mark.full)]
)
def test_stopped_and_resumed_ends_in_the_same_bits(kind, stop_at, images, one_device, tmp_path, capsys):
    x, labels = images
    source = kind(x, labels)
    method = IDEC(n_clusters=4, refresh_steps=5, tolerance=0.0, **SMALL)
    whole = fit(experiment(method), source, devices=one_device)
    calls = iter(range(10**6))
    run = {"workdir": tmp_path / "run", "devices": one_device}
    with pytest.raises(Stopped):
        fit(experiment(method), source, should_stop=lambda: next(calls) == stop_at, **run)
    assert not (tmp_path / "run" / "metrics.json").exists()
    resumed = fit(experiment(method), source, progress=True, **run)
    assert "resuming from stage" in capsys.readouterr().err
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)
    np.testing.assert_array_equal(resumed.embeddings, whole.embeddings)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    places = [(row["stage"], row["step"]) for row in rows if "active_clusters" in row]
    assert places == [(2, 0), (2, 5), (2, 10), (2, 15)]


@pytest.mark.full
def test_a_run_stopped_right_after_a_refresh_does_not_refresh_again(images, one_device, tmp_path):
    log = tmp_path / "run" / "metrics.jsonl"

    def just_refreshed():
        return log.exists() and "active_clusters" in log.read_text().splitlines()[-1]

    run = {"workdir": tmp_path / "run", "devices": one_device}
    with pytest.raises(Stopped):
        fit(experiment(), *images, should_stop=just_refreshed, **run)
    result = fit(experiment(), *images, **run)
    ticks = [row["step"] for row in result.history if "active_clusters" in row]
    assert ticks == [0, 5, 10, 15]


def test_a_finished_run_is_not_trained_again(images, one_device, tmp_path):
    x, labels = images
    first = fit(experiment(), x, labels, workdir=tmp_path / "run", devices=one_device)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    second = fit(experiment(), x, labels, workdir=tmp_path / "run", devices=one_device)
    assert second.metrics == first.metrics
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before
    fresh = fit(experiment(), x, labels, workdir=tmp_path / "run", fresh=True, devices=one_device)
    np.testing.assert_array_equal(fresh.probabilities, first.probabilities)


@pytest.mark.full
def test_a_checkpoint_of_one_machine_goes_on_on_eight_devices(images, one_device, tmp_path):
    x, labels = images
    calls = iter(range(10**6))
    with pytest.raises(Stopped):
        fit(
            experiment(),
            x,
            labels,
            workdir=tmp_path / "run",
            devices=one_device,
            should_stop=lambda: next(calls) == 8,
        )
    result = fit(experiment(), x, labels, workdir=tmp_path / "run")
    whole = fit(experiment(), x, labels, devices=one_device)
    np.testing.assert_allclose(result.probabilities, whole.probabilities, atol=1e-3)


def test_the_number_of_devices_does_not_change_a_run(images):
    x, labels = images
    results = [fit(experiment(), x, labels, devices=jax.devices()[:n]) for n in (1, 2, 8)]
    for result in results[1:]:
        np.testing.assert_allclose(result.probabilities, results[0].probabilities, atol=1e-3)
        np.testing.assert_array_equal(result.labels, results[0].labels)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"schedule": Schedule(learning_rate=0.1)}, "learning_rate is 0.001 there and 0.1 here"),
        ({"schedule": Schedule(batch_size=20)}, "batch_size is 40 there and 20 here"),
    ],
)
def test_another_configuration_is_refused(change, word, images, one_device, tmp_path):
    x, labels = images
    fit(experiment(), x, labels, workdir=tmp_path / "run", devices=one_device)
    with pytest.raises(InputError, match=word):
        fit(experiment(), x, labels, workdir=tmp_path / "run", devices=one_device, **change)


def test_other_data_are_refused(images, one_device, tmp_path):
    x, labels = images
    fit(experiment(), x, labels, workdir=tmp_path / "run", devices=one_device)
    with pytest.raises(InputError, match="fingerprint"):
        fit(experiment(), 255 - x, labels, workdir=tmp_path / "run", devices=one_device)


def test_a_folder_that_is_no_run_is_left_alone(images, one_device, tmp_path):
    (tmp_path / "holiday.txt").write_text("dear diary")
    with pytest.raises(InputError, match="not a run folder"):
        fit(experiment(), *images, workdir=tmp_path, fresh=True, devices=one_device)
    assert (tmp_path / "holiday.txt").exists()


def test_fresh_takes_no_folder_that_is_somebody_elses(images, one_device, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "weights.bin").write_bytes(b"months of work")
    with pytest.raises(InputError, match="not written by jaxdc"):
        fit(experiment(), *images, workdir=tmp_path, fresh=True, devices=one_device)
    assert (tmp_path / "weights.bin").exists()


def test_a_kill_while_the_folder_was_made_does_no_harm(images, one_device, tmp_path):
    (tmp_path / ".config.json.partial").write_text('{"run": {"me')
    fit(experiment(steps=5, pretrain_steps=5), *images, workdir=tmp_path, devices=one_device)
    assert (tmp_path / "metrics.json").exists()


def test_a_refused_run_leaves_no_folder(one_device, tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 6))
    with pytest.raises(InputError, match="needs images"):
        fit(DEC(n_clusters=3, augment=True), x, workdir=tmp_path / "a", devices=one_device)
    with pytest.raises(InputError, match="0 or more"):
        fit(NMFKMeans(n_clusters=3), x, workdir=tmp_path / "b", devices=one_device)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(images, one_device, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written: Not a directory"):
        fit(experiment(), *images, workdir=tmp_path / "file" / "run", devices=one_device)


def test_fewer_samples_than_devices():
    with pytest.raises(InputError, match="5 samples are fewer than the 8 devices"):
        fit(KMeans(n_clusters=2), np.random.default_rng(0).random((5, 2)))


def test_a_damaged_checkpoint_is_named(images, one_device, tmp_path, monkeypatch):
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)  # one step each: the 15th is in the second stage
    x, labels = images
    calls = iter(range(10**6))
    run = {"workdir": tmp_path / "run", "devices": one_device}
    with pytest.raises(Stopped):
        fit(experiment(), x, labels, should_stop=lambda: next(calls) == 15, **run)
    (newest,) = (tmp_path / "run" / "checkpoints" / "1-dec").iterdir()
    for file in [f for f in newest.rglob("*") if f.is_file() and f.stat().st_size > 200]:
        file.write_bytes(b"garbage")
    with pytest.raises(InputError, match=r"the checkpoint .* is damaged"):
        fit(experiment(), x, labels, **run)
    # The advice of the message works: the run goes on from the one before.
    fit(experiment(), x, labels, from_last_good=True, **run)


def test_encoders_of_two_stages_must_fit(images, one_device):
    stages = (
        Stage(method=AE(n_clusters=4, hidden=(16,), latent=4), steps=5, batch_size=40),
        Stage(method=DEC(n_clusters=4, hidden=(32,), latent=4), steps=5, batch_size=40),
    )
    with pytest.raises(InputError, match=r"the encoder of DEC does not match that of AE.*\(32,\).*\(16,\)"):
        fit(Experiment(stages), *images, devices=one_device)


def test_a_diverging_run_is_stopped_with_a_sentence(images, one_device):
    stage = Stage(
        method=AE(n_clusters=4, **SMALL),
        steps=200,
        batch_size=40,
        optimizer=Optimizer(name="sgd", learning_rate=1e6),
    )
    with pytest.raises(InputError, match="the loss became"):
        fit(Experiment((stage,)), *images, devices=one_device)


@pytest.mark.parametrize(
    ("experiment_of", "word"),
    [
        (
            lambda: Experiment((Stage(method=KMeans(n_clusters=201), steps=0),)),
            "can't make 201 clusters from 200",
        ),
        (lambda: experiment(batch_size=256), "200 samples are fewer than a batch of 256"),
    ],
)
def test_too_little_data(experiment_of, word, images, one_device):
    with pytest.raises(InputError, match=word):
        fit(experiment_of(), *images, devices=one_device)


def test_a_batch_must_divide_among_the_devices(images):
    with pytest.raises(InputError, match="a batch of 42 can't be divided equally among 8 devices: use 40 or 48"):
        fit(experiment(batch_size=42), *images)


def test_health_figures():
    figures = health(np.array([0, 0, 1, 1]), None, 2)
    assert figures == {"active_clusters": 2, "occupancy_entropy": 1.0, "largest_cluster": 0.5}
    figures = health(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1]), 3)
    assert figures.pop("nmi_before") == 0.0
    assert figures == {"active_clusters": 1, "occupancy_entropy": 0.0, "largest_cluster": 1.0, "churn": 0.5}
    assert "collapsed" in warning(figures, 3)
    assert warning({"active_clusters": 2}, 3) == "1 of 3 clusters are empty"
    assert warning({"active_clusters": 3}, 3) is None


def test_a_collapse_is_told_and_kept(images, one_device, capsys):
    """A learning rate that throws the code far away leaves one cluster."""
    stages = (
        Stage(method=AE(n_clusters=4, **SMALL), steps=5, batch_size=40),
        Stage(
            method=dec(tolerance=0.0),
            steps=10,
            batch_size=40,
            optimizer=Optimizer(name="sgd", learning_rate=1e5),
        ),
    )
    result = fit(Experiment(stages), *images, devices=one_device, progress=True)
    assert result.metrics["warnings"]
    assert "warning:" in capsys.readouterr().err
    assert any("warning" in row for row in result.history)


def test_a_schedule_replaces_what_the_recipe_says():
    wishes = Schedule(epochs=3, pretrain_epochs=2, batch_size=50, learning_rate=0.5)
    first, last = wishes.apply(experiment()).stages
    assert (first.epochs, first.steps, first.batch_size, first.optimizer.learning_rate) == (2, None, 50, 1e-3)
    assert (last.epochs, last.steps, last.batch_size, last.optimizer.learning_rate) == (3, None, 50, 0.5)
    still = Experiment((Stage(method=KMeans(n_clusters=2), steps=0),))
    assert wishes.apply(still) == still


def test_stage_lengths():
    stage = Stage(method=dec(), epochs=1.5, batch_size=32)
    assert stage.n_steps(100) == 4  # 3 full batches an epoch
    assert stage.refresh_interval(100) == 5
    with pytest.raises(InputError, match="either epochs or steps"):
        Stage(method=dec(), epochs=1, steps=2)
    with pytest.raises(InputError, match="refresh_steps must be at least 1"):
        dataclasses.replace(dec(), refresh_steps=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clock(AE):
    """Reports the step and the epoch that its loss has seen."""

    def loss(self, model, aux, batch, key):
        loss, (aux, metrics) = super().loss(model, aux, batch, key)
        seen = {"step_seen": 1.0 * batch["step"], "epoch_seen": 1.0 * batch["epoch"]}
        return loss, (aux, {**metrics, **seen})


@pytest.mark.parametrize("source", [ArraySource, Stream])
def test_the_loss_knows_step_and_epoch(images, one_device, source, monkeypatch):
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)  # a step each
    method = Clock(n_clusters=4, **SMALL)
    stages = (Stage(method=method, steps=7, batch_size=40), Stage(method=method, steps=7, batch_size=80))
    result = fit(Experiment(stages), source(images[0]), devices=one_device)
    rows = [row for row in result.history if "step_seen" in row]
    assert [row["step_seen"] for row in rows] == [*range(7), *range(7)]
    assert [row["epoch_seen"] for row in rows] == [0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3]

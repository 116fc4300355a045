"""Time and memory of a run from its first steps."""

import numpy as np
import pytest

from jaxdc import DEC, DSCNet, KMeans
from jaxdc.cli import main
from jaxdc.errors import InputError
from jaxdc.methods.base import Experiment, Schedule, Stage
from jaxdc.runs.forecast import StageForecast, forecast
from jaxdc.train import stage_run

pytestmark = pytest.mark.usefixtures("one_device_alone")

X = np.random.default_rng(0).normal(size=(96, 6)).astype(np.float32)
SMALL = Schedule(epochs=12, pretrain_epochs=2, batch_size=32)


def test_every_stage_is_measured():
    autoencoder, dec = forecast(DEC(n_clusters=3), X, schedule=SMALL)
    assert (autoencoder.method, autoencoder.n_steps, autoencoder.n_refreshes) == ("AE", 6, 0)
    assert not autoencoder.may_end_early and dec.may_end_early
    assert dec.n_steps == 36
    for stage in (autoencoder, dec):
        assert 0 < stage.step_seconds < stage.first_seconds  # compiling is in the latter
        assert stage.memory is not None and stage.memory.state > 0


def test_later_refreshes_are_counted_and_timed(monkeypatch):
    # A refresh every 3 steps of 12: at 0, which belongs to the beginning, at 3, 6 and 9, and at the end none.
    experiment = Experiment((Stage(method=DEC(n_clusters=3, refresh_steps=3), steps=12, batch_size=32),))
    refreshed = []
    true = stage_run.StageRun._refresh
    monkeypatch.setattr(stage_run.StageRun, "_refresh", lambda run: refreshed.append(run.step) or true(run))
    (dec,) = forecast(experiment, X)
    assert dec.n_refreshes == 3
    assert refreshed[0] == 0 and len(refreshed) == 2  # the second one is timed
    assert dec.refresh_seconds > 0


@pytest.mark.full
def test_a_last_refresh_counts():
    (stage,) = forecast(Experiment((Stage(method=DSCNet(n_clusters=3, latent=4), steps=3, batch_size=96),)), X)
    assert stage.n_refreshes == 1 and stage.refresh_seconds > 0


def test_the_sum():
    stage = StageForecast("DEC", 11, True, 5.0, 0.5, 3, 2.0, None, None)
    assert stage.seconds == 5 + 10 * 0.5 + 3 * 2
    assert stage._replace(n_steps=0, first_seconds=0.0, n_refreshes=0).seconds == 0


def test_methods_without_steps_are_not_run():
    (stage,) = forecast(KMeans(n_clusters=3), X)
    assert (stage.n_steps, stage.seconds, stage.memory) == (0, 0.0, None)


def test_it_refuses_what_training_refuses():
    with pytest.raises(InputError, match="fewer than a batch"):
        forecast(DEC(n_clusters=3), X, schedule=Schedule(batch_size=1000))


def test_the_command_prints_a_line_a_stage_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    given = list(tmp_path.iterdir())
    monkeypatch.setattr(DEC, "batch_size_warning", lambda self, batch_size, spec: f"{batch_size} are few")
    few = ("--n-clusters", "3", "--epochs", "2", "--pretrain-epochs", "2", "--batch-size", "32")
    main(["train", "dec", "--data", "x.npy", *few, "--estimate"])
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].split()[:2] == ["stage", "steps"]
    assert [line.split()[:2] for line in lines[1:3]] == [["AE", "6"], ["DEC", "6"]]
    assert "at most 0:0" in lines[2] and "MiB" in lines[2]
    assert "nothing was written" in shown.err and shown.err.count("warning: 32 are few") == 1
    assert list(tmp_path.iterdir()) == given
    main(["train", "kmeans", "--data", "x.npy", "--n-clusters", "3", "--estimate"])
    shown = capsys.readouterr()
    assert "not measured" in shown.out and "no gradient steps" in shown.err

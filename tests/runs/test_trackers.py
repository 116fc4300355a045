import sys
import types

import numpy as np
import pytest

import jaxdc
from jaxdc.errors import InputError
from jaxdc.methods.base import Schedule
from jaxdc.runs import trackers as tracking
from jaxdc.runs.progress import read_rows

pytestmark = pytest.mark.usefixtures("one_device_alone")

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
SHORT = Schedule(epochs=2, pretrain_epochs=1, batch_size=32)
SMALL = jaxdc.DEC(n_clusters=2, hidden=(4,), latent=2, refresh_steps=2, tolerance=0.0)


class Told(tracking.Tracker):
    """Remembers what it is told; breaks at a given call."""

    def __init__(self, folder, config, breaks_at=None):
        self.folder, self.config, self.rows, self.end, self.left = folder, config, [], None, breaks_at

    def log(self, group, step, figures):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise OSError("no route\nto host")
        self.rows.append((group, step, dict(figures)))

    def finish(self, figures):
        self.end = dict(figures)


@pytest.fixture
def told(monkeypatch):
    """A tracker called mlflow that works and one called wandb that breaks at its third line."""
    made = {}

    def make(name, breaks_at=None):
        def start(folder, config):
            made.setdefault(name, []).append(Told(folder, config, breaks_at))
            return made[name][-1]

        return "json", start

    monkeypatch.setattr(tracking, "TRACKERS", {"mlflow": make("mlflow"), "wandb": make("wandb", 2)})
    return made


@pytest.mark.full
def test_trackers_are_told_of_each_line_and_of_the_end(told, tmp_path):
    result = jaxdc.fit(SMALL, X, workdir=tmp_path / "run", schedule=SHORT, track=("mlflow",))
    (tracker,) = told["mlflow"]
    assert tracker.folder == tmp_path / "run"
    assert tracker.config["seed"] == 0
    lines = read_rows(tmp_path / "run" / "metrics.jsonl")
    numbers = [row for row in lines if any(key not in ("stage", "step", "n_steps", "ended") for key in row)]
    assert len(tracker.rows) == len(numbers)
    assert {group for group, _, _ in tracker.rows} == {"stage 1 AE", "stage 2 DEC"}
    losses = [(row["stage"], row["step"], row["loss"]) for row in lines if "loss" in row]
    assert [(int(g[6]), s, f["loss"]) for g, s, f in tracker.rows if "loss" in f] == losses
    assert tracker.end["n_samples"] == 64
    assert "acc" not in tracker.end  # there are no labels, and no figure is made up
    assert result.metrics["acc"] is None


def test_a_tracker_that_fails_does_not_stop_the_run(told, tmp_path, capsys):
    track = ("wandb", "mlflow")
    result = jaxdc.fit(SMALL, X, workdir=tmp_path / "run", schedule=SHORT, track=track)
    assert len(told["wandb"][0].rows) == 2
    assert told["wandb"][0].end is None
    assert told["mlflow"][0].end is not None
    assert "tracking with wandb failed and is now off; the run continues: no route\n" in capsys.readouterr().out
    alone = jaxdc.fit(SMALL, X, schedule=SHORT)
    np.testing.assert_array_equal(result.probabilities, alone.probabilities)


def test_a_run_that_goes_on_tells_of_its_lines_again(told, tmp_path):
    calls = iter([False] * 3 + [True] * 100)
    with pytest.raises(jaxdc.train.stage_run.Stopped):
        jaxdc.fit(SMALL, X, workdir=tmp_path, schedule=SHORT, track=("mlflow",), should_stop=lambda: next(calls))
    jaxdc.fit(SMALL, X, workdir=tmp_path, schedule=SHORT, track=("mlflow",))
    stopped, whole = told["mlflow"]
    assert stopped.end is None
    at = [(group, step, sorted(figures)) for group, step, figures in whole.rows]
    assert len(at) == len({(group, step, tuple(figures)) for group, step, figures in at})
    assert {group for group, _, _ in at} == {"stage 1 AE", "stage 2 DEC"}


def test_what_does_not_start_is_refused_and_leaves_no_folder(told, tmp_path, monkeypatch):
    def broken(folder, config):
        raise RuntimeError("log in first\nplease")

    monkeypatch.setitem(tracking.TRACKERS, "wandb", ("json", broken))
    with pytest.raises(InputError, match=r"tracking with wandb can't start: log in first$"):
        jaxdc.fit(SMALL, X, workdir=tmp_path / "run", schedule=SHORT, track=("wandb",))
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(tracking.TRACKERS, "mlflow", ("no_such_package", tracking.MLflow))
    with pytest.raises(InputError, match="pip install no_such_package"):
        jaxdc.fit(SMALL, X, workdir=tmp_path / "run", track=("mlflow",))
    with pytest.raises(InputError, match="unknown tracker 'paper'"):
        jaxdc.fit(SMALL, X, workdir=tmp_path / "run", track=("paper",))
    assert not (tmp_path / "run").exists()


def test_what_is_no_number_is_not_drawn(told, tmp_path):
    trackers = tracking.Trackers(("mlflow",), tmp_path, {}, ("stage 1 AE",), print)
    trackers.log({"stage": 1, "step": 3, "warning": "a cluster died"})
    trackers.log({"stage": 1, "step": 4, "n_steps": 2, "loss": float("nan"), "churn": 0.5, "done": True})
    assert told["mlflow"][0].rows == [("stage 1 AE", 4, {"churn": 0.5})]


def test_weights_and_biases_is_asked_for_one_run_and_a_step_for_each_stage(tmp_path, monkeypatch):
    calls = []

    class Run:
        summary: dict = {}  # noqa: RUF012 - one run alone

        def define_metric(self, name, step_metric):
            calls.append(("define", name, step_metric))

        def log(self, figures):
            calls.append(("log", figures))

        def finish(self):
            calls.append(("finish",))

    def init(**settings):
        calls.append(("init", settings["id"], settings["resume"]))
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    for _ in range(2):
        run = tracking.WandB(tmp_path, {"seed": 0})
    run.log("stage 1 AE", 5, {"loss": 2.0})
    run.log("stage 1 AE", 6, {"loss": 1.0})
    run.finish({"acc": 0.5})
    (_, first, _), (_, second, resume), define, log, _, finish = calls
    assert first == second == (tmp_path / "wandb_id.txt").read_text()
    assert resume == "allow"
    assert define == ("define", "stage 1 AE/*", "stage 1 AE/step")
    assert log == ("log", {"stage 1 AE/step": 5, "stage 1 AE/loss": 2.0})
    assert finish == ("finish",)
    assert Run.summary == {"result/acc": 0.5}


@pytest.mark.full
def test_event_files_hold_the_lines(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra jaxdc[tracking] is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second time in place of the first
        board = tracking.TensorBoard(tmp_path, {})
        board.log("stage 1 AE", 5, {"loss": 2.0})
        board.log("stage 1 AE", 6, {"loss": 1.0})
        board.finish({"acc": 0.5})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert sorted(events.Tags()["tensors"]) == ["result/acc", "stage 1 AE/loss"]
    loss = [(event.step, event.tensor_proto.float_val[0]) for event in events.Tensors("stage 1 AE/loss")]
    assert loss == [(5, 2.0), (6, 1.0)]

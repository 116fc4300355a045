"""The log of a run, and the time that is left."""

import json

import numpy as np
import pytest

from jaxdc.methods import AE, CC, DEC, DataSpec
from jaxdc.methods.base import Ending, Experiment, Stage
from jaxdc.runs.progress import Reporter, plain_console, read_rows
from jaxdc.train import health

SPEC = DataSpec((4,), 1000)


@pytest.fixture
def experiment():
    return Experiment(
        (
            Stage(method=AE(n_clusters=2), steps=100, batch_size=10),
            Stage(method=DEC(n_clusters=2, refresh_steps=20), steps=60, batch_size=10),
        )
    )


def test_time_left_counts_all_stages_and_refreshes(experiment):
    reporter = Reporter(experiment, SPEC)
    assert reporter.seconds_left(0) is None
    reporter.stage_begins(0, 0)
    reporter.steps_done(0, 1, 1, {"loss": 1.0}, None)  # held the compilation
    assert reporter.seconds_left(0) is None
    reporter.steps_done(0, 51, 50, {"loss": 1.0}, 5.0)
    # 49 steps of this stage and 60 of the next at a tenth of a second.
    assert reporter.seconds_left(0) == pytest.approx(10.9)
    reporter.stage_ends(0, 100)
    reporter.stage_begins(1, 0)
    reporter.refresh_took(1, 2.0)
    reporter.steps_done(1, 20, 20, {"loss": 1.0}, 4.0)
    # Now 40 steps at a fifth of a second and two refreshes of two seconds.
    assert reporter.seconds_left(1) == pytest.approx(12.0)
    assert reporter.images_per_second() == pytest.approx(700 / 9)


def test_going_on_forgets_what_will_be_written_again(experiment, tmp_path):
    path = tmp_path / "metrics.jsonl"
    reporter = Reporter(experiment, SPEC, path=path)
    for stage, step in ((0, 50), (0, 100), (1, 20), (1, 40)):
        reporter.steps_done(stage, step, 10, {"loss": 1.0}, 1.0)
    path.write_text(path.read_text() + '{"stage": 2, "st')  # a kill in the middle of a line
    again = Reporter(experiment, SPEC, path=path)
    again.resumed(1, 20)
    assert [(row["stage"], row["step"]) for row in read_rows(path)] == [(1, 50), (1, 100), (2, 20)]
    assert again.history == read_rows(path)
    json.loads(path.read_text().splitlines()[-1])
    again.starts_anew()
    assert not path.exists()


def test_warnings_and_endings_are_kept_over_a_kill(experiment, tmp_path, capsys):
    path = tmp_path / "metrics.jsonl"
    reporter = Reporter(experiment, SPEC, console=plain_console(), path=path)
    reporter.ends_early(0, 30, Ending("nothing to do", warns=True))
    reporter.ends_early(1, 20, Ending("all is done"))
    assert (
        "warning: nothing to do (stage 1, step 30)\nstage 2 ends at step 20: all is done"
        in capsys.readouterr().err
    )
    again = Reporter(experiment, SPEC, path=path)
    again.resumed(1, 20)
    assert again.warnings == ["nothing to do"]
    assert [row.get("ended") for row in again.history] == [None, "all is done"]


def test_plain_lines_where_there_is_no_terminal(experiment, capsys):
    with Reporter(experiment, SPEC, console=plain_console()) as reporter:
        reporter.stage_begins(0, 0)
        reporter.steps_done(0, 50, 50, {"loss": 1.25}, 5.0)
    error = capsys.readouterr().err
    assert "AE (stage 1 of 2), step 50 of 100: loss 1.2500, 100 images/s, at most 0:11 left" in error


@pytest.mark.parametrize(("kind", "told_at"), [(DEC, [0]), (CC, [5])])
def test_a_head_that_has_not_learned_is_not_warned_of(kind, told_at):
    method = kind(n_clusters=3)
    reporter = Reporter(Experiment((Stage(method=method, steps=10),)), DataSpec((4,), 6))
    for step in (0, 5):
        labels = np.zeros(6, np.int32)
        reporter.refreshed(0, step, labels, health.health(labels, None, 3), 3)
    assert [row["step"] for row in reporter.history if "warning" in row] == told_at

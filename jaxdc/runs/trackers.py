"""Sends the lines of ``metrics.jsonl`` to experiment trackers: TensorBoard, Weights & Biases, MLflow.

All are optional, and none can stop a run: a tracker that fails is dropped for the rest of the run.
"""

from __future__ import annotations

import abc
import importlib.util
import json
import math
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final, get_args

from jaxdc.errors import InputError

Name = Literal["tensorboard", "wandb", "mlflow"]
PLACES = {"stage", "step", "n_steps"}  # keys of a line that give its position


class Tracker(abc.ABC):
    """Interface of an experiment tracker."""

    @abc.abstractmethod
    def log(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        """Logs figures of a group, such as ``stage 2 DEC``, whose steps count from 0."""

    @abc.abstractmethod
    def finish(self, figures: Mapping[str, float]) -> None:
        """Ends the run with these final figures."""


@final
class TensorBoard(Tracker):
    """Event files in the run folder's ``tensorboard``, rewritten when a run resumes."""

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        from tensorboard.summary import Writer

        shutil.rmtree(folder / "tensorboard", ignore_errors=True)
        self._writer = Writer(str(folder / "tensorboard"))

    def log(self, group, step, figures):
        for figure, value in figures.items():
            self._writer.add_scalar(f"{group}/{figure}", value, step)

    def finish(self, figures):
        for figure, value in figures.items():
            self._writer.add_scalar(f"result/{figure}", value, 0)
        self._writer.close()


@final
class WandB(Tracker):
    """A Weights & Biases run, whose id is kept in the run folder so that a resumed run stays the same run."""

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        import wandb

        path = folder / "wandb_id.txt"
        identifier = path.read_text() if path.exists() else uuid.uuid4().hex
        path.write_text(identifier)
        self._run = wandb.init(
            project="jaxdc",
            id=identifier,
            resume="allow",
            name=folder.name,
            config=dict(config),
            dir=str(folder),
        )
        self._groups: set[str] = set()

    def log(self, group, step, figures):
        if group not in self._groups:  # each stage counts its own steps
            self._groups.add(group)
            self._run.define_metric(f"{group}/*", step_metric=f"{group}/step")
        self._run.log({f"{group}/step": step} | {f"{group}/{figure}": v for figure, v in figures.items()})

    def finish(self, figures):
        self._run.summary.update({f"result/{figure}": value for figure, value in figures.items()})
        self._run.finish()


@final
class MLflow(Tracker):
    """An MLflow run, at the place set by MLflow's environment variables; the run folder keeps its id."""

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        from mlflow import MlflowClient

        self._client, path = MlflowClient(), folder / "mlflow_id.txt"
        if path.exists():
            self._id = path.read_text()
        else:
            experiment = self._client.get_experiment_by_name("jaxdc")
            where = self._client.create_experiment("jaxdc") if experiment is None else experiment.experiment_id
            self._id = self._client.create_run(where, run_name=folder.name).info.run_id
            path.write_text(self._id)
            for key in ("method", "recipe", "seed"):
                self._client.log_param(self._id, key, json.dumps(config.get(key)))
            self._client.log_dict(self._id, dict(config), "config.json")

    def log(self, group, step, figures):
        for figure, value in figures.items():
            self._client.log_metric(self._id, f"{group}/{figure}", value, step=step)

    def finish(self, figures):
        for figure, value in figures.items():
            self._client.log_metric(self._id, f"result/{figure}", value)
        self._client.set_terminated(self._id)


TRACKERS: dict[str, tuple[str, Callable[[Path, Mapping[str, Any]], Tracker]]] = {
    "tensorboard": ("tensorboard", TensorBoard),
    "wandb": ("wandb", WandB),
    "mlflow": ("mlflow", MLflow),
}


def is_installed(name: str) -> bool:
    """Whether the package of a tracker is installed."""
    return importlib.util.find_spec(TRACKERS[name][0]) is not None


def check(names: Sequence[str]) -> None:
    """Raises InputError if there is no such tracker, or its package is missing."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"unknown tracker {name!r}; choose from {', '.join(get_args(Name))}")
        if not is_installed(name):
            raise InputError(f"tracking with {name} needs its package: pip install {TRACKERS[name][0]}")


class Trackers:
    """Several trackers that receive each line of ``metrics.jsonl``.

    Args:
      names: names of the trackers.
      folder: the run folder.
      config: configuration of the run, for the trackers that store it.
      groups: name of each stage.
      say: receives a message about a tracker that fails.

    Raises:
      InputError: a tracker can't be started.
    """

    def __init__(
        self,
        names: Sequence[str],
        folder: Path,
        config: Mapping[str, Any],
        groups: Sequence[str],
        say: Callable[[str], None],
    ):
        check(names)
        self._groups = groups
        self._say = say
        self._all: dict[str, Tracker] = {}
        for name in names:
            try:
                self._all[name] = TRACKERS[name][1](folder, config)
            except Exception as error:
                raise InputError(f"tracking with {name} can't start: {_line(error)}") from error

    def log(self, row: Mapping[str, Any]) -> None:
        """Logs a line."""
        group = self._groups[int(row["stage"]) - 1]
        figures = _figures({key: value for key, value in row.items() if key not in PLACES})
        if figures:
            self._each(lambda tracker: tracker.log(group, row["step"], figures))

    def finish(self, figures: Mapping[str, Any]) -> None:
        """Ends the run."""
        self._each(lambda tracker: tracker.finish(_figures(figures)))

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._all.items()):
            try:
                tell(tracker)
            except Exception as error:
                del self._all[name]
                self._say(f"tracking with {name} failed and is now off; the run continues: {_line(error)}")


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    """The numeric values of a line."""
    numbers = {k: v for k, v in row.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

"""The lines of ``metrics.jsonl`` for other people's viewers: TensorBoard, Weights & Biases, MLflow.

None of them is needed, and none can stop a run: one that fails on the way is left out from there on.
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
PLACES = {"stage", "step", "n_steps"}  # of a line, which say where it belongs


class Tracker(abc.ABC):
    """Somewhere else that a run is told of."""

    @abc.abstractmethod
    def log(self, group: str, step: int, figures: Mapping[str, float]) -> None:
        """Figures of a group, such as ``stage 2 DEC``, whose steps count from 0."""

    @abc.abstractmethod
    def finish(self, figures: Mapping[str, float]) -> None:
        """The run is over, with these figures at the end."""


@final
class TensorBoard(Tracker):
    """Event files in the run folder's ``tensorboard``, written anew where a run goes on."""

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
    """A run of Weights & Biases, which the run folder keeps the id of: a run that goes on stays one."""

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
    """A run of MLflow, at the place that its own environment variables name; the run folder keeps its id."""

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
    """Whether the package of a tracker is there."""
    return importlib.util.find_spec(TRACKERS[name][0]) is not None


def check(names: Sequence[str]) -> None:
    """Raises InputError where there is no such tracker, or its package is missing."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"a run can be tracked by {', '.join(get_args(Name))}, not by {name!r}")
        if not is_installed(name):
            raise InputError(f"tracking by {name} needs its package: pip install {TRACKERS[name][0]}")


class Trackers:
    """Some trackers, told of each line of ``metrics.jsonl``.

    Args:
      names: of the trackers.
      folder: the run folder.
      config: of the run, for those that keep it.
      groups: name of each stage.
      say: told of one that fails.

    Raises:
      InputError: one does not start.
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
                raise InputError(f"tracking by {name} does not start: {_line(error)}") from error

    def log(self, row: Mapping[str, Any]) -> None:
        """A line."""
        group = self._groups[int(row["stage"]) - 1]
        figures = _figures({key: value for key, value in row.items() if key not in PLACES})
        if figures:
            self._each(lambda tracker: tracker.log(group, row["step"], figures))

    def finish(self, figures: Mapping[str, Any]) -> None:
        """The run is over."""
        self._each(lambda tracker: tracker.finish(_figures(figures)))

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._all.items()):
            try:
                tell(tracker)
            except Exception as error:
                del self._all[name]
                self._say(f"tracking by {name} failed and ends here, the run goes on: {_line(error)}")


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    """What can be drawn."""
    numbers = {k: v for k, v in row.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

"""The progress of a stage, as saved in a checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxdc.distributed import sharding
from jaxdc.methods.base import DataSpec, Experiment, Method, Stage
from jaxdc.train.checkpoint import Checkpoints, abstract_like
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import TrainState, abstract_state


@dataclasses.dataclass
class Snapshot:
    """Everything a stage needs to resume.

    Attributes:
      state: training state.
      labels: clusters of the reported samples at the last refresh; -1 before the first.
      refreshed: step of the last refresh; -1 before the first.
      finished: whether the stage is over.
      seconds: duration of the whole run so far.
    """

    state: TrainState
    labels: np.ndarray
    refreshed: int = -1
    finished: bool = False
    seconds: float = 0.0

    def tree(self, mesh: Mesh) -> dict[str, Any]:
        """The snapshot as arrays on every device, for a checkpoint."""
        host = {
            "labels": self.labels,
            "refreshed": np.int32(self.refreshed),
            "finished": np.int32(self.finished),
            "seconds": np.float32(self.seconds),
        }
        return {"state": self.state, **sharding.replicate(host, mesh)}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Snapshot:
        """Restores a snapshot from the content of a checkpoint."""
        return cls(
            state=tree["state"],
            labels=np.asarray(tree["labels"]),
            refreshed=int(tree["refreshed"]),
            finished=bool(tree["finished"]),
            seconds=float(tree["seconds"]),
        )


def save_trained_state(
    folder: Path, experiment: Experiment, state: TrainState, labels: np.ndarray, *, run: str
) -> None:
    """Writes the final checkpoint of an experiment; ``run`` is the digest of the run."""
    i = len(experiment.stages) - 1
    checkpoints = Checkpoints(stage_folder(folder, i, experiment.stages[i].method), run)
    mesh = jax.tree.leaves(state)[0].sharding.mesh
    checkpoints.save(int(state.step), Snapshot(state, labels, finished=True).tree(mesh))
    checkpoints.close()


def load_trained_state(
    folder: Path, experiment: Experiment, spec: DataSpec, mesh: Mesh, *, run: str
) -> tuple[nnx.GraphDef, TrainState]:
    """Reads the final checkpoint of an experiment; ``run`` is the digest of the run."""
    i = len(experiment.stages) - 1
    checkpoints = Checkpoints(stage_folder(folder, i, experiment.stages[i].method), run)
    checkpoints.check()  # before anything is made of the sizes that config.json names
    graphdef, snapshot = load_snapshot(checkpoints, experiment.stages[i], spec, mesh)
    checkpoints.close()
    return graphdef, snapshot.state


def load_snapshot(
    checkpoints: Checkpoints, stage: Stage, spec: DataSpec, mesh: Mesh
) -> tuple[nnx.GraphDef, Snapshot]:
    """Reads the newest checkpoint of a stage."""
    graphdef, like = abstract_snapshot(stage, spec, mesh)
    return graphdef, Snapshot.from_tree(checkpoints.load(like))


def abstract_snapshot(stage: Stage, spec: DataSpec, mesh: Mesh) -> tuple[nnx.GraphDef, dict[str, Any]]:
    """What the checkpoints of a stage hold, as shapes, dtypes and shardings."""
    spec = stage.part_of(spec)
    tx = make_optimizer(stage, spec.n_samples)
    graphdef, abstract = abstract_state(stage.method, tx, spec, mesh)
    return graphdef, abstract_like(Snapshot(abstract, no_labels(spec)).tree(mesh))


def no_labels(spec: DataSpec) -> np.ndarray:
    """The labels of a snapshot before the first refresh."""
    return np.full(spec.n_reported or spec.n_samples, -1, np.int32)


def stage_folder(folder: Path, i: int, method: Method) -> Path:
    """Folder of the checkpoints of stage ``i``."""
    return folder / f"{i}-{type(method).__name__.lower()}"


def newest_place(folder: Path) -> str:
    """Names the newest complete checkpoint of a run in words; needs no device and no other process."""
    # Complete checkpoints have purely numeric names, and a stage's folder starts with its number.
    steps = [path for path in folder.glob("*-*/*") if path.name.isdigit()]
    if not steps:
        return "the start: there is no checkpoint yet"
    newest = max(steps, key=lambda path: (int(path.parent.name.partition("-")[0]), int(path.name)))
    stage = int(newest.parent.name.partition("-")[0]) + 1
    return f"its checkpoint of stage {stage}, step {int(newest.name):,}"

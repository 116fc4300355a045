"""The loop: stages of steps, the slow clock between them, snapshots, and the way back after a kill."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxdc import sharding
from jaxdc.checkpoint import Checkpoints, abstract_like
from jaxdc.data import Source
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Method
from jaxdc.stages import Experiment, Stage
from jaxdc.training import health, steps
from jaxdc.training.inputs import make_input
from jaxdc.training.optimizer import make_optimizer
from jaxdc.training.report import Reporter
from jaxdc.training.state import TrainState, abstract_state, init_state, merge, replace_model, take_over

DISPATCH_SECONDS = 0.5  # how long one dispatch of several steps should take
ASSIGN_BLOCK = 8192


class Stopped(Exception):
    """The user or the machine asked the run to end; a snapshot was written first."""


class Trained(NamedTuple):
    """What a run leaves behind; arrays are on the host."""

    method: Method
    graphdef: nnx.GraphDef
    state: TrainState
    embeddings: np.ndarray
    probabilities: np.ndarray
    seconds: float


@dataclasses.dataclass
class _Snapshot:
    """Where a stage stands. All of it goes into a checkpoint."""

    state: TrainState
    labels: np.ndarray  # at the last refresh; -1 before the first
    refreshed: int = -1  # the step of the last refresh
    finished: bool = False
    seconds: float = 0.0  # of the whole run so far

    def tree(self, mesh: Mesh) -> dict[str, Any]:
        host = {
            "labels": self.labels,
            "refreshed": np.int32(self.refreshed),
            "finished": np.int32(self.finished),
            "seconds": np.float32(self.seconds),
        }
        return {"state": self.state, **sharding.replicate(host, mesh)}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> _Snapshot:
        return cls(
            state=tree["state"],
            labels=np.asarray(tree["labels"]),
            refreshed=int(tree["refreshed"]),
            finished=bool(tree["finished"]),
            seconds=float(tree["seconds"]),
        )


class Trainer:
    """Runs an experiment on a source.

    Args:
      experiment: the stages.
      source: the data.
      spec: what the methods know of the data.
      seed: of everything random.
      mesh: the devices.
      reporter: is told what happens.
      folder: where checkpoints go; None keeps none.
      checkpoint_seconds: least time between two checkpoints within a stage.
      should_stop: asked after every dispatch; True writes a snapshot and raises ``Stopped``.
    """

    def __init__(
        self,
        experiment: Experiment,
        source: Source,
        spec: DataSpec,
        *,
        seed: int,
        mesh: Mesh,
        reporter: Reporter,
        folder: Path | None = None,
        checkpoint_seconds: float = 300.0,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        self.experiment, self.source, self.spec = experiment, source, spec
        self.seed, self.mesh, self.reporter = seed, mesh, reporter
        self.folder, self.checkpoint_seconds, self.should_stop = folder, checkpoint_seconds, should_stop
        for stage in experiment.stages:
            check_stage(stage, spec, mesh)

    def run(self) -> Trained:
        """Trains every stage from where the folder's checkpoints leave off."""
        self.input = make_input(self.source, self.mesh)
        self._began = time.perf_counter()
        previous: tuple[Method, Any] | None = None
        snapshot, graphdef = None, None
        for i in range(self._first_stage(), len(self.experiment.stages)):
            graphdef, snapshot = self._run_stage(i, previous, snapshot.seconds if snapshot else 0.0)
            previous = (self.experiment.stages[i].method, merge(graphdef, snapshot.state))
        assert snapshot is not None and graphdef is not None
        method = self.experiment.stages[-1].method
        features = self.input.features(method, graphdef, snapshot.state)
        probabilities = self._assign(method, graphdef, snapshot.state, features)
        return Trained(method, graphdef, snapshot.state, np.asarray(features), probabilities, snapshot.seconds)

    def _checkpoints(self, i: int) -> Checkpoints | None:
        if self.folder is None:
            return None
        return Checkpoints(stage_folder(self.folder, i, self.experiment.stages[i].method))

    def _first_stage(self) -> int:
        """The last stage that has a checkpoint."""
        for i in reversed(range(len(self.experiment.stages))):
            checkpoints = self._checkpoints(i)
            if checkpoints is not None and checkpoints.latest() is not None:
                checkpoints.close()
                return i
        return 0

    def _run_stage(
        self, i: int, previous: tuple[Method, Any] | None, seconds: float
    ) -> tuple[nnx.GraphDef, _Snapshot]:
        stage = self.experiment.stages[i]
        n_steps, interval = stage.n_steps(self.spec.n_samples), stage.refresh_interval(self.spec.n_samples)
        is_last = i == len(self.experiment.stages) - 1
        stage_key = jax.random.fold_in(jax.random.key(self.seed), i)
        state_key, shuffle_key, refresh_key = jax.random.split(stage_key, 3)
        tx = make_optimizer(stage.optimizer, n_steps)
        checkpoints = self._checkpoints(i)

        if checkpoints is not None and checkpoints.latest() is not None:
            graphdef, snapshot = _load_snapshot(checkpoints, stage, self.spec, self.mesh)
            self.reporter.resumed(i, int(snapshot.state.step))
        else:
            graphdef, state = init_state(stage.method, tx, state_key, self.spec, self.mesh)
            if previous is not None:
                model = merge(graphdef, state)
                take_over(stage.method, model, previous[1], type(previous[0]).__name__)
                state = replace_model(state, model, state.aux, tx, self.mesh)
            snapshot = _Snapshot(state, np.full(self.spec.n_samples, -1, np.int32), seconds=seconds)
        carried_seconds, began = snapshot.seconds, time.perf_counter()
        step, saved_at = int(snapshot.state.step), time.perf_counter()

        def save():
            nonlocal saved_at
            snapshot.seconds = carried_seconds + time.perf_counter() - began
            if checkpoints is not None:
                checkpoints.save(step, snapshot.tree(self.mesh))
            saved_at = time.perf_counter()

        def refresh() -> dict[str, float]:
            started = time.perf_counter()
            key = jax.random.fold_in(refresh_key, step)
            figures = self._refresh(i, stage.method, graphdef, tx, snapshot, step, key)
            snapshot.refreshed = step
            self.reporter.refresh_took(i, time.perf_counter() - started)
            return figures

        self.input.begin(stage, graphdef, tx, shuffle_key, self.seed * 1000 + i)
        self.reporter.stage_begins(i, step)
        pace = _Pace()

        def settle():
            """Waits for the last dispatch and tells of it."""
            if pace.pending is not None:
                at_step, n, metrics = pace.pending
                values = self._fetch(metrics, i, at_step)
                self.reporter.steps_done(i, at_step, n, values, pace.settled())

        while not snapshot.finished:
            due = interval is not None and step % interval == 0 and snapshot.refreshed != step
            if due and (step < n_steps or step == 0):
                settle()
                churn = refresh().get("churn", 1.0)
                if step and stage.method.tolerance is not None and churn < stage.method.tolerance:
                    break
            if step >= n_steps:
                break
            n = n_steps - step if interval is None else min(n_steps, (step // interval + 1) * interval) - step
            time_to_save = time.perf_counter() - saved_at > self.checkpoint_seconds
            n, want_save, want_stop = sharding.agree([min(n, pace.steps()), time_to_save, self.should_stop()])
            if want_save or want_stop:
                settle()
                save()
            if want_stop:
                raise Stopped
            snapshot.state, metrics, n = self.input.advance(snapshot.state, step, n)
            step += n
            settle()  # of the dispatch before: the device is never without work
            pace.dispatched(step, n, metrics)
        settle()
        if not snapshot.finished:
            if interval is None and is_last:
                refresh()
            snapshot.finished = True
            save()
        if checkpoints is not None:
            checkpoints.close()
        self.reporter.stage_ends(i, step)
        return graphdef, snapshot

    def _fetch(self, metrics: dict[str, jax.Array], i: int, step: int) -> dict[str, float]:
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if not math.isfinite(values["loss"]):
            raise InputError(
                f"the loss became {values['loss']} in stage {i + 1} at or before step {step}: lower the learning "
                "rate, or look for extreme values in the data; the last checkpoint is from before"
            )
        return values

    def _refresh(
        self, i, method, graphdef, tx, snapshot: _Snapshot, step: int, key: jax.Array
    ) -> dict[str, float]:
        features = self.input.features(method, graphdef, snapshot.state)
        model, aux = method.refresh(merge(graphdef, snapshot.state), snapshot.state.aux, features, key)
        snapshot.state = replace_model(snapshot.state, model, aux, tx, self.mesh)
        if not method.clusters:
            return {}
        probabilities = self._assign(method, graphdef, snapshot.state, features)
        labels = np.argmax(probabilities, axis=1).astype(np.int32)
        before = snapshot.labels if snapshot.labels[0] >= 0 else None
        figures = health.health(labels, before, method.n_clusters)
        snapshot.labels = labels
        self.reporter.refreshed(i, step, labels, figures, method.n_clusters)
        return figures

    def _assign(self, method, graphdef, state, features) -> np.ndarray:
        assign = steps.make_assign(method, graphdef, self.mesh)
        n = features.shape[0]
        return np.concatenate(
            [np.asarray(assign(state, features[j : j + ASSIGN_BLOCK])) for j in range(0, n, ASSIGN_BLOCK)]
        )


class _Pace:
    """The dispatch under way, and how many steps one should hold to take ``DISPATCH_SECONDS``."""

    def __init__(self):
        self.pending: tuple[int, int, dict[str, jax.Array]] | None = None
        self._mark: float | None = None  # when the pending dispatch began to run
        self._per_step: float | None = None

    def steps(self) -> int:
        if self._per_step is None:
            return 1
        return max(int(DISPATCH_SECONDS / max(self._per_step, 1e-6)), 1)

    def dispatched(self, step: int, n: int, metrics: dict[str, jax.Array]) -> None:
        self.pending = (step, n, metrics)
        if self._mark is None:
            self._mark = time.perf_counter()

    def settled(self) -> float | None:
        """Seconds that the pending dispatch took; None for the first, which held the compilation."""
        assert self.pending is not None and self._mark is not None
        now, n = time.perf_counter(), self.pending[1]
        seconds, first = now - self._mark, self._per_step is None
        self.pending, self._mark = None, now
        self._per_step = seconds / n
        return None if first else seconds


def save_trained_state(folder: Path, experiment: Experiment, state: TrainState, labels: np.ndarray) -> None:
    """Writes the checkpoint that ends an experiment."""
    i = len(experiment.stages) - 1
    checkpoints = Checkpoints(stage_folder(folder, i, experiment.stages[i].method))
    mesh = jax.tree.leaves(state)[0].sharding.mesh
    checkpoints.save(int(state.step), _Snapshot(state, labels, finished=True).tree(mesh))
    checkpoints.close()


def load_trained_state(
    folder: Path, experiment: Experiment, spec: DataSpec, mesh: Mesh
) -> tuple[nnx.GraphDef, TrainState]:
    """Reads the checkpoint that ends an experiment."""
    i = len(experiment.stages) - 1
    checkpoints = Checkpoints(stage_folder(folder, i, experiment.stages[i].method))
    graphdef, snapshot = _load_snapshot(checkpoints, experiment.stages[i], spec, mesh)
    checkpoints.close()
    return graphdef, snapshot.state


def _load_snapshot(
    checkpoints: Checkpoints, stage: Stage, spec: DataSpec, mesh: Mesh
) -> tuple[nnx.GraphDef, _Snapshot]:
    tx = make_optimizer(stage.optimizer, stage.n_steps(spec.n_samples))
    graphdef, abstract = abstract_state(stage.method, tx, spec, mesh)
    like = _Snapshot(abstract, np.full(spec.n_samples, -1, np.int32)).tree(mesh)
    return graphdef, _Snapshot.from_tree(checkpoints.load(abstract_like(like)))


def stage_folder(folder: Path, i: int, method: Method) -> Path:
    """Where the checkpoints of stage ``i`` are."""
    return folder / f"{i}-{type(method).__name__.lower()}"


def check_stage(stage: Stage, spec: DataSpec, mesh: Mesh) -> None:
    """Raises InputError where a stage can't run on this data or on these devices."""
    k, n = stage.method.n_clusters, spec.n_samples
    if k > n:
        raise InputError(f"{k} clusters can't be made of {n} samples; n_clusters must be from 2 to {n}")
    if stage.n_steps(n) == 0:
        return
    if n < stage.batch_size:
        raise InputError(
            f"{n} samples are fewer than a batch of {stage.batch_size}; use a batch size of {n} or less"
        )
    sharding.check_batch_size(stage.batch_size, mesh)

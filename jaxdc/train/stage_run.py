"""One stage of a run: its steps, its refreshes, and its snapshots."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Method
from jaxdc.train import health
from jaxdc.train.assignments import Assign
from jaxdc.train.checkpoint import Checkpoints
from jaxdc.train.inputs import Input
from jaxdc.train.labels import labels_of, labels_on_device
from jaxdc.train.memory import Estimate
from jaxdc.train.observer import Observer
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.snapshot import Snapshot, load_snapshot, no_labels
from jaxdc.train.state import (
    Handover,
    TrainState,
    init_state,
    magnitude,
    merge,
    replace_model,
    take_clusters,
    take_over,
)

DISPATCH_SECONDS = 0.5  # target duration of one dispatch of several steps
ASSIGN_BLOCK = 8192
LONG_REFRESH_SECONDS = 5.0  # before a refresh that takes longer, what has been learnt is saved
# Parameters start near 1. In float32, nothing of that is left where they have grown by more than its seven digits.
LARGEST_GROWTH = 1e7


class Stopped(Exception):
    """The user or the machine stopped the run; a snapshot was completed first."""


class Trained(NamedTuple):
    """The outcome of a run; arrays are on the host."""

    method: Method
    graphdef: nnx.GraphDef
    state: TrainState
    embeddings: np.ndarray
    probabilities: np.ndarray
    seconds: float
    alternatives: dict[str, np.ndarray]  # labels of other clusterings of the same samples, by name


class Measured(NamedTuple):
    """Timings of the first steps of a stage.

    Attributes:
      first_seconds: seconds for compilation, cluster initialisation and the first step.
      step_seconds: seconds per later step.
      refresh_seconds: seconds per later refresh.
      n_refreshes: number of refreshes to come.
      estimate: memory estimate of a step.
    """

    first_seconds: float
    step_seconds: float
    refresh_seconds: float
    n_refreshes: int
    estimate: Estimate | None


class Setting(NamedTuple):
    """Settings shared by all stages of a run; see the arguments of ``Trainer``."""

    experiment: Experiment
    spec: DataSpec
    seed: int
    mesh: Mesh
    observer: Observer
    checkpoint_seconds: float
    should_stop: Callable[[], bool]
    probe_epochs: float | None


class StageRun:
    """One stage, from its first step or its last checkpoint to its end.

    Args:
      setting: settings shared with the other stages.
      i: index of the stage, from 0.
      data: input that feeds the step.
      checkpoints: checkpoints of this stage, if any are kept.
      inherited: what it takes over if it has no checkpoint of its own.
      seconds: duration of the stages before it.

    Attributes:
      estimate: memory estimate of a step, once it is compiled.
    """

    def __init__(
        self,
        setting: Setting,
        i: int,
        data: Input,
        checkpoints: Checkpoints | None,
        inherited: Handover | None,
        seconds: float,
    ):
        self.i, self.stage, self.checkpoints = i, setting.experiment.stages[i], checkpoints
        self.estimate: Estimate | None = None
        self._setting, self._input, self._observer = setting, data, setting.observer
        self.method, mesh = self.stage.method, setting.mesh
        self.spec = spec = self.stage.part_of(setting.spec)
        self.n_steps = self.stage.n_steps(spec.n_samples)
        self.interval = self.stage.refresh_interval(spec.n_samples)
        self.probe_interval: int | None = None
        if setting.probe_epochs is not None:
            self.probe_interval = max(round(setting.probe_epochs * self.stage.steps_per_epoch(spec.n_samples)), 1)
        stages = setting.experiment.stages
        # Whether its clusters count: they are those of the run, or the next stage begins with them.
        self.reports = i == len(stages) - 1 or stages[i + 1].method.takes_clusters
        self.tx = make_optimizer(self.stage, spec.n_samples)
        stage_key = jax.random.fold_in(jax.random.key(setting.seed), i)
        state_key, shuffle_key, self.refresh_key = jax.random.split(stage_key, 3)

        if checkpoints is not None and checkpoints.latest() is not None:
            self.graphdef, self.snapshot = load_snapshot(checkpoints, self.stage, spec, mesh)
            self._observer.resumed(i, int(self.snapshot.state.step))
        else:
            self.graphdef, state = init_state(self.method, self.tx, state_key, spec, mesh)
            if inherited is not None or self.method.takes_clusters:
                model, aux = merge(self.graphdef, state), state.aux
                if inherited is not None:
                    take_over(self.method, model, inherited)
                if self.method.takes_clusters:
                    model, aux = take_clusters(self.method, model, aux, inherited, spec)
                state = replace_model(state, model, aux, self.tx, mesh)
            self.snapshot = Snapshot(state, no_labels(spec), seconds=seconds)
        self.step = int(self.snapshot.state.step)
        self._refresh_seconds, self._saved_step = 0.0, self.step
        self._carried, self._began, self._saved = self.snapshot.seconds, time.perf_counter(), time.perf_counter()
        self._pace = _Pace()
        self._assign = Assign(self.method, self.graphdef, mesh, ASSIGN_BLOCK)
        data.begin(self.stage, self.graphdef, self.tx, shuffle_key, setting.seed * 1000 + i)

    def handover(self) -> Handover:
        """What the next stage may take over."""
        return Handover.of(self.method, self.model(), self.snapshot.state.aux, self._found)

    def _found(self) -> tuple[np.ndarray, np.ndarray]:
        """Features and probabilities of the reported samples."""
        features = self._features()
        probabilities = self._probabilities(features)
        return sharding.to_host(features)[: len(probabilities)], probabilities

    def run(self) -> None:
        """Alternates refreshes and steps until the end of the stage, or until few samples change cluster."""
        try:
            self._train()
        finally:
            if self.checkpoints is not None:
                self.checkpoints.close()
        self._observer.stage_ends(self.i, self.step)

    def _train(self) -> None:
        self._observer.stage_begins(self.i, self.step)
        if not self.snapshot.finished and self.step < self.n_steps:
            self.estimate = self._input.compile(self.snapshot.state)
            self._observer.memory_planned(self.i, self.step, self.estimate)
        if self.step == 0 and not self.snapshot.finished:
            if self.n_steps:
                self._warn(self.method.batch_size_warning(self.stage.batch_for(self.spec.n_samples), self.spec))
            self._probe()
        while not self.snapshot.finished:
            if self._refresh_is_due():
                self._settle()
                self._save_before_a_long_refresh()
                churn = self._refresh().get("churn", 1.0)
                ending = self.method.ending(self.snapshot.state.aux)
                if ending is not None:
                    self._observer.ends_early(self.i, self.step, ending)
                    break
                if self.step and self.method.tolerance is not None and churn < self.method.tolerance:
                    break
            if self.step >= self.n_steps:
                break
            self._advance()
            self._probe()
        self._settle()
        if not self.snapshot.finished:
            self._check_parameters()
            if self.reports and (self.interval is None or self.method.refresh_last):
                self._refresh(last=True)
            self.snapshot.finished = True
            self._save()

    def measure(self) -> Measured:
        """Times a step and a refresh after compilation and cluster initialisation, and estimates memory.

        A stage without steps is not measured: its refresh is all of its work.
        """
        if self.n_steps == 0:
            return Measured(0.0, 0.0, 0.0, 0, None)
        began = time.perf_counter()
        self.estimate = self._input.compile(self.snapshot.state)
        n_refreshes = 0 if self.interval is None else math.ceil(self.n_steps / self.interval) - 1
        if self.reports and (self.interval is None or self.method.refresh_last):
            n_refreshes += 1
        if self.interval is not None:
            self._refresh()
        self._timed_steps(1)
        first_seconds, refresh_seconds = time.perf_counter() - began, 0.0
        step_seconds = self._timed_steps(1)
        step_seconds = self._timed_steps(int(min(DISPATCH_SECONDS / step_seconds, self.n_steps)))
        if n_refreshes:
            began = time.perf_counter()
            self._refresh()
            refresh_seconds = time.perf_counter() - began
        return Measured(first_seconds, step_seconds, refresh_seconds, n_refreshes, self.estimate)

    def _timed_steps(self, n: int) -> float:
        """Takes up to n steps, at least one; returns the seconds per step."""
        began = time.perf_counter()
        advanced = self._input.advance(self.snapshot.state, self.step, max(n, 1))
        self.snapshot.state, metrics, n = advanced
        jax.block_until_ready(metrics)
        self.step += n
        return (time.perf_counter() - began) / n

    def model(self) -> Any:
        """The trained network."""
        return merge(self.graphdef, self.snapshot.state)

    def outcome(self) -> Trained:
        """Features and probabilities of the reported samples, and the model that computed them."""
        features = self._features()
        probabilities = self._probabilities(features)
        if self.method.finds_n_clusters:
            probabilities = probabilities[:, : int(labels_of(probabilities).max()) + 1]
        state, seconds, n = self.snapshot.state, self.snapshot.seconds, len(probabilities)
        others = self.method.alternatives(self.model(), state.aux, features)
        labels = {name: sharding.to_host(labels_on_device(probs))[:n] for name, probs in others.items()}
        embeddings = sharding.to_host(features)[:n]
        return Trained(self.method, self.graphdef, state, embeddings, probabilities, seconds, labels)

    def _refresh_is_due(self) -> bool:
        if self.interval is None or self.step % self.interval or self.snapshot.refreshed == self.step:
            return False
        return self.step < self.n_steps or self.step == 0

    def _advance(self) -> None:
        """Dispatches steps once; saves a checkpoint first if one is due."""
        limit = self.n_steps - self.step
        for interval in (self.interval, self.probe_interval):
            if interval is not None:
                limit = min(limit, interval - self.step % interval)
        time_to_save = time.perf_counter() - self._saved > self._setting.checkpoint_seconds
        wishes = sharding.gather([min(limit, self._pace.steps()), time_to_save, self._setting.should_stop()])
        n, want_save, _ = wishes[0]
        want_stop = any(of_one[2] for of_one in wishes)  # a signal may reach only one host
        if want_save or want_stop:
            self._settle()
            self._save()
        if want_stop:
            if self.checkpoints is not None:
                self.checkpoints.wait()
            raise Stopped
        began = time.perf_counter()
        self.snapshot.state, metrics, n = self._input.advance(self.snapshot.state, self.step, n)
        self.step += n
        if self._input.returns_late:
            # Most of the dispatch has already run, so settle it at once.
            self._pace.dispatched(self.step, n, metrics, began)
            self._settle()
        else:
            self._settle()  # the previous dispatch, so that the device is never idle
            self._pace.dispatched(self.step, n, metrics, time.perf_counter())

    def _settle(self) -> None:
        """Waits for the running dispatch, if any, and reports it."""
        if self._pace.pending is None:
            return
        step, n, metrics = self._pace.pending
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if not math.isfinite(values["loss"]):
            when = f"in step {step}" if n == 1 else f"in steps {step - n + 1} to {step}"
            raise InputError(self._diverged(f"the loss became {values['loss']}", when))
        self._observer.steps_done(self.i, step, n, values, self._pace.settled())

    def _probe(self) -> None:
        """Reports the features for a measurement, if one is due."""
        if self.probe_interval is None or (self.step % self.probe_interval and self.step < self.n_steps):
            return
        self._settle()
        features = sharding.to_host(self._features())[: self.spec.n_reported]
        self._observer.probed(self.i, self.step, features)

    def _refresh(self, *, last: bool = False) -> dict[str, float]:
        """Runs ``refresh``, or ``finish`` at the end, and checks the health of the resulting clusters."""
        started, snapshot = time.perf_counter(), self.snapshot
        features = self._features()
        key = jax.random.fold_in(self.refresh_key, self.step)
        refresh = self.method.finish if last else self.method.refresh
        model, aux = refresh(self.model(), snapshot.state.aux, features, key)
        snapshot.state = replace_model(snapshot.state, model, aux, self.tx, self._setting.mesh)
        snapshot.refreshed = self.step
        self._input.refreshed()
        figures: dict[str, float] = {}
        if self.method.clusters:
            labels = self._assign.labels(snapshot.state, features, self._n_reported(features))
            before = snapshot.labels if snapshot.labels[0] >= 0 else None
            k = int(labels.max()) + 1 if self.method.finds_n_clusters else self.method.n_clusters
            figures = health.health(labels, before, k)
            snapshot.labels = labels
            self._observer.refreshed(self.i, self.step, labels, figures, k)
        self._warn(self.method.warning(aux))
        self._refresh_seconds = time.perf_counter() - started
        self._observer.refresh_took(self.i, self._refresh_seconds)
        return figures

    def _warn(self, text: str | None) -> None:
        if text is not None:
            self._observer.warned(self.i, self.step, text)

    def _save_before_a_long_refresh(self) -> None:
        """So that little is lost if the process is told to stop, or dies, while it takes minutes."""
        long = self._refresh_seconds > LONG_REFRESH_SECONDS and self._saved_step != self.step
        if sharding.gather([long])[0][0]:
            self._save()

    def _features(self) -> jax.Array:
        return self._input.features(self.snapshot.state)

    def _probabilities(self, features: jax.Array) -> np.ndarray:
        """Probabilities of the reported samples."""
        return self._assign.probabilities(self.snapshot.state, features, self._n_reported(features))

    def _n_reported(self, features: jax.Array) -> int:
        return self.spec.n_reported or len(features)

    def _check_parameters(self) -> None:
        """Raises InputError if the parameters have diverged, which a finite loss may hide."""
        largest = magnitude(self.snapshot.state.params)
        if min(sharding.gather([largest <= LARGEST_GROWTH * max(self.spec.rms, 1.0)]))[0]:
            return
        what = f"grew to {largest:.1g}" if math.isfinite(largest) else "became NaN or infinite"
        raise InputError(self._diverged(f"parameters {what}", f"at or before step {self.step}"))

    def _diverged(self, what: str, when: str) -> str:
        before = None if self.checkpoints is None else self.checkpoints.latest()
        kept = "there is no earlier checkpoint of this stage"
        if before is not None:
            kept = f"the last checkpoint before that is of step {before}"
        return (
            f"{what} {when} of stage {self.i + 1}, {type(self.method).__name__}: lower the learning rate, or "
            f"check the data for extreme values; {kept}"
        )

    def _save(self) -> None:
        self.snapshot.seconds = self._carried + time.perf_counter() - self._began
        self._check_parameters()
        if self.checkpoints is not None:
            self.checkpoints.save(self.step, self.snapshot.tree(self._setting.mesh))
        self._saved, self._saved_step = time.perf_counter(), self.step


class _Pace:
    """The running dispatch, and how many steps a dispatch should hold to take ``DISPATCH_SECONDS``."""

    def __init__(self):
        self.pending: tuple[int, int, dict[str, jax.Array]] | None = None
        self._began = 0.0
        self._per_step: float | None = None

    def steps(self) -> int:
        if self._per_step is None:
            return 1
        return max(int(DISPATCH_SECONDS / max(self._per_step, 1e-6)), 1)

    def dispatched(self, step: int, n: int, metrics: dict[str, jax.Array], began: float) -> None:
        """Records steps that the device has been working on since ``began``."""
        self.pending, self._began = (step, n, metrics), began

    def settled(self) -> float | None:
        """Duration of the dispatch in seconds; None for the first, which included compilation."""
        assert self.pending is not None
        seconds, first = time.perf_counter() - self._began, self._per_step is None
        self._per_step = seconds / self.pending[1]
        self.pending = None
        return None if first else seconds

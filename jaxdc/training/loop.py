"""The loop: one stage after the other, and the way back after a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jax.sharding import Mesh

from jaxdc.checkpoint import Checkpoints
from jaxdc.data import FirstSamples, Source
from jaxdc.methods.base import DataSpec
from jaxdc.stages import Experiment, Stage
from jaxdc.training import memory
from jaxdc.training.checks import check_resident, check_stage
from jaxdc.training.copies import WithCopies
from jaxdc.training.inputs import make_input
from jaxdc.training.optimizer import make_optimizer
from jaxdc.training.report import Reporter
from jaxdc.training.snapshot import stage_folder
from jaxdc.training.stage_run import Measured, StageRun, Trained
from jaxdc.training.state import Handover, abstract_state


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
      start: what the first stage takes over, from a saved run.
      probe_epochs: epochs between two looks at how the features tell classes apart; None takes none.
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
        start: Handover | None = None,
        probe_epochs: float | None = None,
    ):
        self.start, self.probe_epochs = start, probe_epochs
        self.experiment, self.source, self.spec = experiment, source, spec
        self.seed, self.mesh, self.reporter = seed, mesh, reporter
        self.folder, self.checkpoint_seconds, self.should_stop = folder, checkpoint_seconds, should_stop
        self.i = 0
        self.estimate: memory.Estimate | None = None
        self.input: Any = None
        for stage in experiment.stages:
            check_stage(stage, stage.part_of(spec), mesh)
            check_resident(stage, source)
        for stage in experiment.stages:  # what a method refuses to do, it says before anything is written
            part = stage.part_of(spec)
            abstract_state(stage.method, make_optimizer(stage, part.n_samples), part, mesh)

    def run(self) -> Trained:
        """Trains every stage from where the folder's checkpoints leave off."""
        with memory.exhaustion_is_an_input_error(self._too_much):
            previous, first = None, self._first_stage()
            if first is None:
                self.reporter.starts_anew()
            for i in range(first or 0, len(self.experiment.stages)):
                self.i, self.estimate = i, None
                self._open_input(self.experiment.stages[i])
                previous = StageRun(self, i, previous)
                previous.run()
            assert previous is not None
            return previous.outcome()

    def measure(self) -> list[Measured]:
        """Takes the first steps of every stage, with the clock; the trainer is of no use afterwards."""
        with memory.exhaustion_is_an_input_error(self._too_much):
            previous, measured = None, []
            for i, stage in enumerate(self.experiment.stages):
                self.i, self.estimate = i, None
                self._open_input(stage)
                previous = StageRun(self, i, previous)
                measured.append(previous.measure())
            return measured

    def _open_input(self, stage: Stage) -> None:
        n_samples = stage.part_of(self.spec).n_samples
        if self.input is not None and self.input.n_samples == n_samples:
            return
        self.input = None  # two sets might not fit
        all_of_it = n_samples == self.spec.n_samples
        self.input = make_input(self.source if all_of_it else FirstSamples(self.source, n_samples), self.mesh)

    def _too_much(self) -> str:
        return memory.advice(
            self.i,
            self.experiment.stages[self.i],
            resident=self.source.array is not None,
            estimate=self.estimate,
            copies=isinstance(self.source, WithCopies),
        )

    def _first_stage(self) -> int | None:
        """The last stage that has a checkpoint, or None."""
        for i in reversed(range(len(self.experiment.stages))):
            checkpoints = self.checkpoints(i)
            if checkpoints is not None and checkpoints.latest() is not None:
                checkpoints.close()
                return i
        return None

    def checkpoints(self, i: int) -> Checkpoints | None:
        """Those of stage ``i``, if any are kept."""
        if self.folder is None:
            return None
        return Checkpoints(stage_folder(self.folder, i, self.experiment.stages[i].method))

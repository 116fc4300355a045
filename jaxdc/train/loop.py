"""The training loop: runs the stages in order, and resumes after a kill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jax.sharding import Mesh

from jaxdc.data import FirstSamples, Source
from jaxdc.methods.base import DataSpec, Experiment, Stage
from jaxdc.train import memory
from jaxdc.train.checkpoint import Checkpoints
from jaxdc.train.checks import check_resident, check_stage
from jaxdc.train.inputs import Input, make_input
from jaxdc.train.observer import Observer
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.snapshot import abstract_snapshot, stage_folder
from jaxdc.train.stage_run import Measured, Setting, StageRun, Trained
from jaxdc.train.state import Handover, abstract_state


class Trainer:
    """Runs an experiment on a source.

    Args:
      experiment: the stages.
      source: the data.
      spec: data specification for the methods.
      seed: random seed for initialisation, shuffling and augmentation.
      mesh: the devices.
      observer: receives the events of training.
      folder: folder for checkpoints; None keeps none.
      checkpoint_seconds: minimum time between two checkpoints within a stage.
      should_stop: polled after every dispatch; if it returns True, saves a snapshot and raises ``Stopped``.
      start: what the first stage takes over from a saved run.
      probe_epochs: epochs between two measurements of the features; None disables them.

    Raises:
      InputError: a stage cannot run on these data or these devices.
    """

    def __init__(
        self,
        experiment: Experiment,
        source: Source,
        spec: DataSpec,
        *,
        seed: int,
        mesh: Mesh,
        observer: Observer,
        folder: Path | None = None,
        checkpoint_seconds: float = 300.0,
        should_stop: Callable[[], bool] = lambda: False,
        start: Handover | None = None,
        probe_epochs: float | None = None,
    ):
        self.experiment, self.source, self.spec, self.start = experiment, source, spec, start
        self._folder, self._observer = folder, observer
        self._setting = Setting(
            experiment, spec, seed, mesh, observer, checkpoint_seconds, should_stop, probe_epochs
        )
        self._input: Input | None = None
        self._digest = ""
        self._running: tuple[int, StageRun | None] = (0, None)
        for stage in experiment.stages:
            check_stage(stage, stage.part_of(spec), mesh)
            check_resident(stage, source)
        for stage in experiment.stages:  # reject invalid settings before anything is written
            part = stage.part_of(spec)
            _, state = abstract_state(stage.method, make_optimizer(stage, part.n_samples), part, mesh)
            memory.check_state_fits(state, stage.method, mesh)

    def run(self, digest: str = "", *, from_last_good: bool = False) -> Trained:
        """Trains all stages, resuming from the checkpoints in the folder.

        Args:
          digest: digest of the run, which its checkpoints carry.
          from_last_good: move damaged checkpoints aside, and resume from the newest good one.
        """
        self._digest = digest
        with memory.exhaustion_is_an_input_error(self._too_much):
            if from_last_good:
                self._set_damaged_aside()
            first = self._first_stage()
            if first is None:
                self._observer.starts_anew()
            run = None
            for i in range(first or 0, len(self.experiment.stages)):
                run = self._begin(i, run)
                run.run()
            assert run is not None
            return run.outcome()

    def measure(self) -> list[Measured]:
        """Times the first steps of every stage; the trainer can't be used afterwards."""
        with memory.exhaustion_is_an_input_error(self._too_much):
            run, measured = None, []
            for i in range(len(self.experiment.stages)):
                run = self._begin(i, run)
                measured.append(run.measure())
            return measured

    def _begin(self, i: int, previous: StageRun | None) -> StageRun:
        """Stage ``i``, from its last checkpoint or from the handover of the stage before it."""
        self._running = (i, None)
        data = self._open_input(self.experiment.stages[i])
        inherited = self.start if previous is None else previous.handover()
        seconds = 0.0 if previous is None else previous.snapshot.seconds
        run = StageRun(self._setting, i, data, self._checkpoints(i), inherited, seconds)
        self._running = (i, run)
        return run

    def _open_input(self, stage: Stage) -> Input:
        n_samples = stage.part_of(self.spec).n_samples
        if self._input is None or self._input.n_samples != n_samples:
            self._input = None  # two data sets might not fit
            all_of_it = n_samples == self.spec.n_samples
            source = self.source if all_of_it else FirstSamples(self.source, n_samples)
            self._input = make_input(source, self._setting.mesh)
        return self._input

    def _too_much(self) -> str:
        i, run = self._running
        return memory.advice(
            i,
            self.experiment.stages[i],
            resident=self.source.array is not None,
            estimate=None if run is None else run.estimate,
            copies=self.source.n_copies > 0,
        )

    def _first_stage(self) -> int | None:
        """The last stage that has a checkpoint, or None."""
        for i in reversed(range(len(self.experiment.stages))):
            checkpoints = self._checkpoints(i)
            if checkpoints is not None and checkpoints.latest() is not None:
                checkpoints.close()
                return i
        return None

    def _set_damaged_aside(self) -> None:
        """Leaves a good checkpoint as the newest, or none."""
        for i, stage in reversed(list(enumerate(self.experiment.stages))):
            checkpoints = self._checkpoints(i)
            if checkpoints is None or checkpoints.latest() is None:
                continue
            _, like = abstract_snapshot(stage, self.spec, self._setting.mesh)
            for place in checkpoints.set_aside(like):
                self._observer.set_aside(place)
            found = checkpoints.latest()
            checkpoints.close()
            if found is not None:
                return

    def _checkpoints(self, i: int) -> Checkpoints | None:
        """The checkpoints of stage ``i``, if any are kept."""
        if self._folder is None:
            return None
        return Checkpoints(stage_folder(self._folder, i, self.experiment.stages[i].method), self._digest)

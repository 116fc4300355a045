"""Forecast of a run's time and memory from the first steps of each stage."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxdc.float32 import in_float32
from jaxdc.methods.base import Experiment, Method
from jaxdc.runs.prepare import prepare
from jaxdc.train.loop import Trainer
from jaxdc.train.memory import Estimate
from jaxdc.train.observer import Observer


class StageForecast(NamedTuple):
    """Forecast of one stage.

    Attributes:
      method: class name of the method.
      n_steps: number of gradient steps.
      may_end_early: whether it can stop early: few samples change cluster, or the method says so.
      first_seconds: seconds for compilation, cluster initialisation and the first step.
      step_seconds: seconds per later step.
      n_refreshes: number of later refreshes, in which all samples are reassigned.
      refresh_seconds: seconds per refresh.
      memory: memory of a step on each device; None if the backend does not report it.
      warning: a sentence about its batch size that the user should hear, if there is one.
    """

    method: str
    n_steps: int
    may_end_early: bool
    first_seconds: float
    step_seconds: float
    n_refreshes: int
    refresh_seconds: float
    memory: Estimate | None
    warning: str | None

    @property
    def seconds(self) -> float:
        """Seconds for the whole stage, if it does not end early."""
        later_steps = max(self.n_steps - 1, 0)
        return self.first_seconds + later_steps * self.step_seconds + self.n_refreshes * self.refresh_seconds


@in_float32
def forecast(method: Method | Experiment, x: Any, *, seed: int = 0, **settings: Any) -> list[StageForecast]:
    """Times the first steps of each stage, without writing anything.

    Stages without gradient steps, such as k-means, are not measured: measuring would mean running them in full.

    Args:
      method: as in ``fit``.
      x: as in ``fit``.
      seed: as in ``fit``.
      **settings: arguments of ``fit`` that a run depends on: ``recipe``, ``init_from``, ``standardize``,
        ``copies``, ``resident_bytes``, ``schedule``, ``devices``.

    Raises:
      InputError: as in ``fit``.
    """
    run = prepare(method, x, seed=seed, **settings)
    trainer = Trainer(
        run.experiment, run.source, run.spec, seed=seed, mesh=run.mesh, observer=Observer(), start=run.start
    )
    found = []
    for stage, measured in zip(run.experiment.stages, trainer.measure(), strict=True):
        part = stage.part_of(run.spec)
        n_steps, batch_size = stage.n_steps(part.n_samples), stage.batch_for(part.n_samples)
        found.append(
            StageForecast(
                method=type(stage.method).__name__,
                n_steps=n_steps,
                may_end_early=stage.method.tolerance is not None or type(stage.method).ending is not Method.ending,
                first_seconds=measured.first_seconds,
                step_seconds=measured.step_seconds,
                n_refreshes=measured.n_refreshes,
                refresh_seconds=measured.refresh_seconds,
                memory=measured.estimate,
                warning=stage.method.batch_size_warning(batch_size, part) if n_steps else None,
            )
        )
    return found

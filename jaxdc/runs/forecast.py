"""How long a run will take and how much memory, from the first steps of each of its stages."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxdc.methods.base import Experiment, Method
from jaxdc.runs.prepare import prepare
from jaxdc.train.loop import Trainer
from jaxdc.train.memory import Estimate
from jaxdc.train.observer import Observer


class StageForecast(NamedTuple):
    """What one stage will take.

    Attributes:
      method: name of its class.
      n_steps: gradient steps.
      may_end_early: it stops when hardly a sample changes cluster, or when its method says so.
      first_seconds: compiling, beginning the clusters, and the first step.
      step_seconds: of a later step.
      n_refreshes: how often all samples are assigned anew after that.
      refresh_seconds: of one.
      memory: of a step, on each device; None where the backend does not say.
    """

    method: str
    n_steps: int
    may_end_early: bool
    first_seconds: float
    step_seconds: float
    n_refreshes: int
    refresh_seconds: float
    memory: Estimate | None

    @property
    def seconds(self) -> float:
        """Of the stage, if it does not end early."""
        later_steps = max(self.n_steps - 1, 0)
        return self.first_seconds + later_steps * self.step_seconds + self.n_refreshes * self.refresh_seconds


def forecast(method: Method | Experiment, x: Any, *, seed: int = 0, **settings: Any) -> list[StageForecast]:
    """Takes the first steps of each stage with the clock, and writes nothing.

    Stages without gradient steps, such as k-means alone, are not measured: doing it is all there is to them.

    Args:
      method: as in ``fit``.
      x: as in ``fit``.
      seed: as in ``fit``.
      **settings: those of ``fit`` that a run depends on: ``recipe``, ``init_from``, ``standardize``, ``copies``,
        ``resident_bytes``, ``schedule``, ``devices``.

    Raises:
      InputError: as of ``fit``.
    """
    run = prepare(method, x, seed=seed, **settings)
    trainer = Trainer(
        run.experiment, run.source, run.spec, seed=seed, mesh=run.mesh, observer=Observer(), start=run.start
    )
    found = []
    for stage, measured in zip(run.experiment.stages, trainer.measure(), strict=True):
        found.append(
            StageForecast(
                method=type(stage.method).__name__,
                n_steps=stage.n_steps(stage.part_of(run.spec).n_samples),
                may_end_early=stage.method.tolerance is not None or type(stage.method).ending is not Method.ending,
                first_seconds=measured.first_seconds,
                step_seconds=measured.step_seconds,
                n_refreshes=measured.n_refreshes,
                refresh_seconds=measured.refresh_seconds,
                memory=measured.estimate,
            )
        )
    return found

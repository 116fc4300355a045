"""Runs as data: a sequence of stages, and overrides of their lengths and rates."""

from __future__ import annotations

import dataclasses

from jaxdc.errors import InputError
from jaxdc.methods.base.method import DataSpec, Method, Stage


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A sequence of stages."""

    stages: tuple[Stage, ...]

    def __post_init__(self):
        if not self.stages:
            raise InputError("an experiment needs at least one stage")

    def of_known_length(self, spec: DataSpec) -> Experiment:
        """The same experiment, with hyper-parameters filled in that depend on the length of their stage."""
        stages = []
        for stage in self.stages:
            n = stage.part_of(spec).n_samples
            epochs = stage.n_steps(n) / stage.steps_per_epoch(n)
            stages.append(dataclasses.replace(stage, method=stage.method.for_length(epochs)))
        return Experiment(tuple(stages))

    def after(self, method: Method) -> Experiment:
        """The remaining stages once ``method`` is trained: those after its own, or only the last stage."""
        kinds = [type(stage.method) for stage in self.stages[:-1]]
        done = [i for i, kind in enumerate(kinds) if kind is type(method)]
        return Experiment(self.stages[done[-1] + 1 :] if done else self.stages[-1:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Overrides of the recipe; None keeps the recipe's value.

    Attributes:
      epochs: passes over the data for the last stage.
      pretrain_epochs: passes over the data for each stage before it.
      batch_size: global batch size over all devices, for stages that do not use full batches.
      learning_rate: learning rate of the last stage, before scaling with the batch.
      encoder_rate: factor on the learning rate for the encoder, in all stages.
      layer_decay: factor on that rate for each block that follows in the encoder, in all stages.
      max_batch_size: upper limit for all stages, for data sets smaller than a recipe's batch.
    """

    epochs: float | None = None
    pretrain_epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    encoder_rate: float | None = None
    layer_decay: float | None = None
    max_batch_size: int | None = None

    def apply(self, experiment: Experiment) -> Experiment:
        """The experiment with these overrides; stages without gradient steps are unchanged."""
        *first, last = experiment.stages
        takes_batches = any(stage.steps != 0 and not stage.method.full_batch for stage in experiment.stages)
        if self.batch_size is not None and last.method.full_batch and not takes_batches:
            name = type(last.method).__name__
            raise InputError(f"{name} takes no batch size: every step takes all samples")
        stages = [self._adjust(stage, self.pretrain_epochs, None) for stage in first]
        return Experiment((*stages, self._adjust(last, self.epochs, self.learning_rate)))

    def _adjust(self, stage: Stage, epochs: float | None, learning_rate: float | None) -> Stage:
        if stage.steps == 0:
            return stage
        if epochs is not None:
            stage = dataclasses.replace(stage, epochs=epochs, steps=None)
        if self.batch_size is not None and not stage.method.full_batch:
            stage = dataclasses.replace(stage, batch_size=self.batch_size)
        if self.max_batch_size is not None and stage.batch_size > self.max_batch_size:
            stage = dataclasses.replace(stage, batch_size=self.max_batch_size)
        rates = {
            "learning_rate": learning_rate,
            "encoder_rate": self.encoder_rate,
            "layer_decay": self.layer_decay,
        }
        rates = {name: rate for name, rate in rates.items() if rate is not None}
        if rates:
            stage = dataclasses.replace(stage, optimizer=dataclasses.replace(stage.optimizer, **rates))
        return stage

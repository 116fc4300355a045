"""A run as data: which method is trained how long, in which batches, by which optimizer."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Literal

from jaxdc.errors import InputError

if TYPE_CHECKING:
    from jaxdc.methods.base import DataSpec, Method

OPTIMIZERS = ("adam", "adamw", "sgd", "lars")
BATCH_SCALINGS = ("none", "linear", "sqrt")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Settings of an optax optimizer and of its learning rate's course over a stage.

    The rate is ``learning_rate``, scaled with the batch, times a linear rise from 0 over the warm-up,
    times a decay: none, by steps, or along a cosine.

    Attributes:
      name: "adam", "adamw", "sgd" or "lars" (You et al., 2017, arXiv 1708.03888).
      learning_rate: before the scaling.
      momentum: of SGD and LARS.
      nesterov: look ahead along the momentum (SGD and LARS).
      weight_decay: never of biases, scales and shifts, nor of centroids. Of SGD, LARS
        and Adam it is an L2 term of the gradient, as in PyTorch; of AdamW it is decoupled.
      trust_coefficient: of LARS: length of a step of rate 1, beside that of the weights. What does not
        decay steps as with SGD.
      warmup_epochs: epochs of the rise; in a short stage at most half its length.
      decay_every: divide the learning rate by 10 every so many steps; None keeps it.
      decay_at: divide it by 10 at these shares of the stage, each between 0 and 1: epochs 120 and 160
        of 200 are (0.6, 0.8), and keep their place where the stage is made shorter.
      cosine: let it fall to 0 along half a cosine, from the warm-up to the end of the stage.
      encoder_rate: multiplies the learning rate of the network's encoder, where that has learnt before and its
        heads have not.
      batch_scaling: "linear" multiplies it by batch_size / 256, "sqrt" by the square root of that.
    """

    name: Literal["adam", "adamw", "sgd", "lars"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    trust_coefficient: float = 0.001
    warmup_epochs: float = 0.0
    decay_every: int | None = None
    decay_at: tuple[float, ...] = ()
    cosine: bool = False
    encoder_rate: float = 1.0
    batch_scaling: Literal["none", "linear", "sqrt"] = "none"

    def __post_init__(self):
        for name, choices in (("name", OPTIMIZERS), ("batch_scaling", BATCH_SCALINGS)):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"an optimizer's {name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}"
                )
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"the learning rate must be positive and finite, but is {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum must be at least 0 and below 1, but is {self.momentum}")
        for name in ("weight_decay", "warmup_epochs", "encoder_rate"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} can't be negative, but is {getattr(self, name)}")
            if not getattr(self, name) < math.inf:
                raise InputError(f"{name} must be finite, but is {getattr(self, name)}")
        if not 0 < self.trust_coefficient < math.inf:
            raise InputError(f"trust_coefficient must be positive and finite, but is {self.trust_coefficient}")
        if self.decay_every is not None and self.decay_every < 1:
            raise InputError(f"decay_every must be at least 1 step, but is {self.decay_every}")
        if not all(0 < share < 1 for share in self.decay_at):
            raise InputError(
                f"decay_at must be shares of the stage, between 0 and 1 (120 of 200: 0.6), not {self.decay_at}"
            )
        if (self.decay_every is not None) + bool(self.decay_at) + self.cosine > 1:
            raise InputError(
                "a learning rate decays by steps (decay_every or decay_at) or along a cosine, not both"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One method and how it is trained; it takes over the encoder of the stage before it.

    Attributes:
      method: the method with its hyper-parameters.
      epochs: passes over the data; may be a fraction. Exactly one of ``epochs`` and ``steps`` is set.
      steps: gradient steps.
      batch_size: samples of a step, over all devices and processes; ``full_batch`` methods take all of them,
        whatever it says.
      optimizer: its settings.
      reported_only: leave out the samples of which no results are reported, as STL-10's unlabelled ones.
    """

    method: Method
    epochs: float | None = None
    steps: int | None = None
    batch_size: int = 256
    optimizer: Optimizer = Optimizer()
    reported_only: bool = False

    def __post_init__(self):
        if (self.epochs is None) == (self.steps is None):
            raise InputError("a stage needs either epochs or steps, and not both")
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, but is {self.batch_size}")
        if min(self.epochs or 0, self.steps or 0) < 0:
            raise InputError("a stage can't have a negative length")
        if self.epochs is not None and not math.isfinite(self.epochs):
            raise InputError(f"a stage can't be {self.epochs} epochs long")

    def part_of(self, spec: DataSpec) -> DataSpec:
        """What this stage sees of the data."""
        return spec.reported if self.reported_only else spec

    def batch_for(self, n_samples: int) -> int:
        """Samples of a step, over all devices, on a data set of this size."""
        return n_samples if self.method.full_batch else self.batch_size

    def steps_per_epoch(self, n_samples: int) -> int:
        """Full batches in one pass; the samples left over wait for another shuffle."""
        return max(n_samples // self.batch_for(n_samples), 1)

    def n_steps(self, n_samples: int) -> int:
        """Length of the stage in gradient steps."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return round(self.epochs * self.steps_per_epoch(n_samples))

    def refresh_interval(self, n_samples: int) -> int | None:
        """Steps between two refreshes, or None where the method has no slow clock."""
        steps = self.method.refresh_steps_for(n_samples)
        if steps is not None:
            return steps
        epochs = self.method.epochs_between_refreshes
        return None if epochs is None else max(round(epochs * self.steps_per_epoch(n_samples)), 1)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Stages that follow one another."""

    stages: tuple[Stage, ...]

    def __post_init__(self):
        if not self.stages:
            raise InputError("an experiment needs at least one stage")

    def of_known_length(self, spec: DataSpec) -> Experiment:
        """The same, with what the methods leave to the length of their stage filled in."""
        stages = []
        for stage in self.stages:
            n = stage.part_of(spec).n_samples
            epochs = stage.n_steps(n) / stage.steps_per_epoch(n)
            stages.append(dataclasses.replace(stage, method=stage.method.for_length(epochs)))
        return Experiment(tuple(stages))

    def after(self, method: Method) -> Experiment:
        """What is left to do once ``method`` is trained: the stages after its own, or the last stage alone."""
        kinds = [type(stage.method) for stage in self.stages[:-1]]
        done = [i for i, kind in enumerate(kinds) if kind is type(method)]
        return Experiment(self.stages[done[-1] + 1 :] if done else self.stages[-1:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Wishes about a run that replace what its recipe says; None leaves the recipe alone.

    Attributes:
      epochs: length of the last stage, in passes over the data.
      pretrain_epochs: length of each stage before it.
      batch_size: samples of a gradient step, over all devices, where a stage does not take all of them.
      learning_rate: of the last stage, before its scaling with the batch.
      max_batch_size: of all stages, whoever set it: for data sets that are smaller than a recipe's batch.
    """

    epochs: float | None = None
    pretrain_epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    max_batch_size: int | None = None

    def apply(self, experiment: Experiment) -> Experiment:
        """The experiment with these wishes fulfilled; stages without gradient steps stay as they are."""
        *first, last = experiment.stages
        takes_batches = any(stage.steps != 0 and not stage.method.full_batch for stage in experiment.stages)
        if self.batch_size is not None and last.method.full_batch and not takes_batches:
            name = type(last.method).__name__
            raise InputError(f"a batch size means nothing here: every step of {name} takes all samples")
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
        if learning_rate is not None:
            optimizer = dataclasses.replace(stage.optimizer, learning_rate=learning_rate)
            stage = dataclasses.replace(stage, optimizer=optimizer)
        return stage

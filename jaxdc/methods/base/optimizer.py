"""Settings of an optimizer, which ``jaxdc.train.optimizer`` builds."""

from __future__ import annotations

import dataclasses
from typing import Literal

from jaxdc.errors import InputError
from jaxdc.methods.base.fields import check_fields, field


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Settings of an optax optimizer and its learning-rate schedule over a stage.

    The rate is ``learning_rate``, scaled with the batch, times a linear warm-up from 0, times a decay: none, in
    steps, or cosine.

    Attributes:
      name: "adam", "adamw", "sgd" or "lars" (You et al., 2017, arXiv 1708.03888).
      learning_rate: learning rate before batch scaling.
      momentum: momentum of SGD and LARS.
      nesterov: use Nesterov momentum (SGD and LARS).
      weight_decay: weight decay, never applied to biases, scales and shifts, or centroids. With SGD, LARS
        and Adam it is an L2 term of the gradient, as in PyTorch; with AdamW it is decoupled.
      trust_coefficient: LARS's ratio of a step at rate 1 to the norm of the weights. Parameters without
        decay are updated as with SGD.
      warmup_epochs: epochs of the warm-up; at most half the length of the stage.
      decay_every: multiply the learning rate by ``decay_factor`` every this many steps; None keeps it.
      decay_every_epochs: the same in epochs.
      decay_at: multiply it by ``decay_factor`` at these fractions of the stage, each between 0 and 1: epochs 120
        and 160 of 200 are (0.6, 0.8). Fractions stay valid if the stage is shortened.
      decay_factor: what the learning rate is multiplied by at each of these steps; None: 0.1.
      lowest_rate: learning rate, scaled with the batch, below which the decay does not go; None: 0.
      cosine: decay to 0 along half a cosine, from the warm-up to the end of the stage.
      encoder_rate: factor on the learning rate of the encoder, for a pretrained encoder with untrained
        heads.
      predictor_rate: factor on the learning rate of the predictor, of a method that has one, such as BYOL.
      layer_decay: factor on that rate for each block between a parameter and the encoder's last block (Bao et al.,
        2022, arXiv 2106.08254): block l of L learns at ``layer_decay**(L - l)`` of the encoder's rate, what comes
        before the blocks at ``layer_decay**L``, and what follows them at the encoder's rate. 1 decays nothing; an
        encoder without blocks is refused otherwise.
      epsilon: Adam's and AdamW's, added to the root of the second moment; None: 1e-8.
      batch_scaling: "linear" multiplies the learning rate by batch_size / 256, "sqrt" by the square root of that.
    """

    name: Literal["adam", "adamw", "sgd", "lars"] = "adam"
    learning_rate: float = field(1e-3, above=0)
    momentum: float = field(0.9, at_least=0, below=1)
    nesterov: bool = False
    weight_decay: float = field(0.0, at_least=0)
    trust_coefficient: float = field(0.001, above=0)
    warmup_epochs: float = field(0.0, at_least=0)
    decay_every: int | None = field(None, at_least=1)
    decay_every_epochs: float | None = field(None, above=0)
    decay_at: tuple[float, ...] = ()
    decay_factor: float | None = field(None, above=0, at_most=1)
    lowest_rate: float | None = field(None, at_least=0)
    cosine: bool = False
    encoder_rate: float = field(1.0, at_least=0)
    predictor_rate: float = field(1.0, at_least=0)
    layer_decay: float = field(1.0, above=0, at_most=1)
    epsilon: float | None = field(None, above=0)
    batch_scaling: Literal["none", "linear", "sqrt"] = "none"

    def __post_init__(self):
        check_fields(self)
        if not all(0 < share < 1 for share in self.decay_at):
            raise InputError(
                f"decay_at must be fractions of the stage, between 0 and 1 (120 of 200: 0.6), not {self.decay_at}"
            )
        steps = (self.decay_every is not None, self.decay_every_epochs is not None, bool(self.decay_at))
        if sum(steps) + self.cosine > 1:
            raise InputError(
                "a learning rate decays in steps (one of decay_every, decay_every_epochs and decay_at) or along a "
                "cosine, not both"
            )

"""What BYOL and ProPos share: each view's embedding predicts that of the other view by a momentum encoder."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses, nn
from jaxdc.methods.base import Aux, Batch, DataSpec, field
from jaxdc.methods.parts import handwriting, momentum, two_views


class Embedded(NamedTuple):
    """Embeddings ``[b, d]`` of both views: by the network, and by its momentum copy, which have no gradient."""

    z: tuple[jax.Array, jax.Array]
    targets: tuple[jax.Array, jax.Array]


class Network(two_views.Network):
    """An encoder with a projection, and the predictor.

    Args:
      method: one of the base below.
      spec: specification of the data.
      rngs: random streams for initialisation.
    """

    def __init__(self, method: Any, spec: DataSpec, rngs: nnx.Rngs):
        hidden, norm = method.hidden or 1024, {"batch_norm": method.batch_norm, "norm_last": False}
        super().__init__(method, spec, rngs, hidden=hidden, **norm)
        d, dtype = method.projection, method.backbone.dtype
        self.predictor = nn.ProjectionHead(d, hidden, d, dtype=dtype, rngs=rngs, **norm)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bootstrap(handwriting.Handwriting):
    """A method that predicts the embedding of another view.

    Attributes:
      augmentation: augmentation of both views, for images other than handwriting.
      hidden: width of the ReLU layers of projection and predictor; None uses the recipe's value (paper 4,096; fast
        1,024), or 1,024 without a recipe.
      projection: width of z, which the predictor predicts.
      batch_norm: use batch normalisation in the ReLU layers of projection and predictor.
      momentum_epochs: epochs in which the momentum rises to 1; None is the length of the training.
    """

    augmentation: augment.Weak = augment.Weak(crop=(0.08, 1.0))
    hidden: int | None = field(None, at_least=1)
    projection: int = field(256, at_least=1)
    batch_norm: bool = True
    momentum_epochs: float | None = field(None, above=0)

    def start(self, key: jax.Array, spec: DataSpec) -> tuple[Network, dict[str, Any]]:
        """The network, and the entries of ``aux`` that ``embedded`` needs."""
        model = Network(self, spec, nnx.Rngs(key))
        return model, {**momentum.copy_of(model), "n_samples": jnp.int32(spec.n_samples)}

    def for_length(self, epochs):
        return self if self.momentum_epochs else dataclasses.replace(self, momentum_epochs=epochs or None)

    def embedded(
        self, model: Network, aux: Aux, batch: Batch, views: tuple[jax.Array, jax.Array], momentum_at_first: float
    ) -> tuple[Embedded, Aux]:
        """Moves the momentum copy, which keeps such a share at first, and embeds each view by both networks.

        The views pass one by one, as in the released code of BYOL: each has its own batch statistics.
        """
        share = jnp.float32(momentum_at_first)
        if self.momentum_epochs is not None:
            steps_per_epoch = jnp.maximum(aux["n_samples"] // len(batch["x"]), 1)
            progress = batch["step"] / (self.momentum_epochs * steps_per_epoch)
            share = momentum.rising(momentum_at_first, progress)
        new = momentum.moved(model, aux, share)
        average = teacher(model, new)
        first, second = (jax.lax.stop_gradient(average(view, train=False)) for view in views)
        z1, z2 = (model(view, train=True) for view in views)
        return Embedded((z1, z2), (first, second)), new


def teacher(model: Network, aux: Aux) -> Network:
    """The momentum copy."""
    return momentum.network(model, aux)


def cross_prediction(model: Network, z: tuple[jax.Array, jax.Array], targets: tuple[jax.Array, jax.Array]):
    """``losses.view_prediction`` of the targets of the other view, for either: two of ``[b]``."""
    p1, p2 = (model.predictor(each, train=True) for each in z)
    return losses.view_prediction(p1, targets[1]), losses.view_prediction(p2, targets[0])


def spread(z: jax.Array) -> jax.Array:
    """How far the directions of z ``[b, d]`` are spread: their standard deviation times sqrt(d).

    About 1 if they point everywhere, 0 if all are equal, when the loss looks perfect and nothing is learnt.
    """
    return jnp.sqrt(z.shape[1]) * jnp.mean(jnp.std(two_views.unit(jax.lax.stop_gradient(z)), axis=0))

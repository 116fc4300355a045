"""What IIC and PICA share: a plain view beside several perturbed ones, and two sizes of heads that take turns.

A loss of two assignments ``[b, k]`` is all that a method adds (``of_head``), and its recipes.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, nn
from jaxdc.methods.base import field
from jaxdc.methods.parts import heads
from jaxdc.methods.parts.handwriting import Handwriting

# About the square of 20 of 32 pixels that IIC cuts out on CIFAR-10, or more.
VIEWS = augment.Weak(
    crop=(0.4, 1.0),
    ratio=(1.0, 1.0),
    jitter=(0.4, 0.4, 0.4, 0.125),
    jitter_probability=1.0,
    greyscale_probability=0.0,
)


class Network(nnx.Module):
    """An encoder, the heads of the clusters that are reported, and those of more clusters that only help.

    Args:
      method: one of the base below.
      spec: specification of the data.
      rngs: NNX's source of initial values.
    """

    def __init__(self, method, spec, rngs: nnx.Rngs):
        channels, side = spec.shape[-1], method.side(spec)
        self.encoder = method.backbone.make(side, 2 if method.sees_edges(channels) else channels, rngs)
        n, h, dtype = self.encoder.n_features, method.n_heads, method.backbone.dtype
        self.main = nn.ClusterHeads(n, h, method.n_clusters, dtype=dtype, rngs=rngs)
        self.over = nn.ClusterHeads(n, h, method.n_over, dtype=dtype, rngs=rngs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OverClustering(Handwriting):
    """A method of two sizes of linear heads, each trained on pairs of an image and a perturbed copy of it.

    For ``over_epochs`` epochs the heads of ``n_over_clusters`` clusters learn, then for ``main_epochs`` those of
    ``n_clusters``, and so on, the encoder always. Heads that wait have no gradient; Adam's moments still move them
    a little, as where one Adam trains all in the released codes. Of the ``n_heads`` of n_clusters that of the
    lowest loss is reported; labels play no part.

    Attributes:
      augmentation: augmentation of the perturbed views, for images other than handwriting.
      sobel: feed the encoder the derivatives of the grey image instead of colours; None: for colour images.
      repeats: perturbed views of each image in a batch, r; each makes a pair with the plain one.
      n_heads: linear heads of each of the two sizes.
      n_over_clusters: clusters of the heads that only help the encoder to learn; None is 7 for each of n_clusters.
      over_epochs: epochs in a row in which these learn; 0: they never do.
      main_epochs: epochs in a row, after them, in which the heads of n_clusters learn.
      refresh_epochs: epochs between two choices of the head of the lowest loss since the choice before.
    """

    augmentation: augment.Weak = VIEWS
    sobel: bool | None = None
    repeats: int = field(3, at_least=1)
    n_heads: int = field(5, at_least=1)
    n_over_clusters: int | None = field(None, at_least=2)
    over_epochs: int = field(1, at_least=0)
    main_epochs: int = field(2, at_least=1)
    refresh_epochs: float = field(9.0, above=0)

    refresh_last: ClassVar[bool] = True

    @abc.abstractmethod
    def of_head(self, probs1: jax.Array, probs2: jax.Array) -> jax.Array:
        """The loss of a head, a scalar: assignments [b r, k] of plain views, and of the perturbed ones."""

    @property
    def n_over(self) -> int:
        """``n_over_clusters``, or what stands for None."""
        return self.n_over_clusters or 7 * self.n_clusters

    def sees_edges(self, channels: int) -> bool:
        """Whether Sobel's filter comes before the encoder."""
        return channels == 3 if self.sobel is None else self.sobel

    def plain(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> what is embedded: nothing drawn, and with ``sobel`` its derivatives."""
        return self._seen(x.shape[-1], self.preset(x.shape[-1]).plain(None, x))

    def repeated_views(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b (1 + r), ...]: the plain view of each image, then its r perturbed ones."""
        channels, plain = x.shape[-1], self.plain(x)
        perturbed = self.preset(channels)(key, jnp.repeat(x, self.repeats, axis=0))
        perturbed = self._seen(channels, perturbed).reshape(len(x), self.repeats, *plain.shape[1:])
        return jnp.concatenate([plain[:, None], perturbed], axis=1).reshape(-1, *plain.shape[1:])

    def _seen(self, channels, view):
        return augment.sobel(view) if self.sees_edges(channels) else view

    def init(self, key, spec):
        return Network(self, spec, nnx.Rngs(key)), heads.start(self.n_heads)

    def loss(self, model, aux, batch, key):
        features = model.encoder(self.repeated_views(key, batch["x"]), train=True)
        main, over = self._per_head(model.main(features)), self._per_head(model.over(features))
        in_turn = batch["epoch"] % (self.over_epochs + self.main_epochs) >= self.over_epochs
        loss = jnp.where(in_turn, jnp.mean(main), jnp.mean(over))
        aux = heads.count(aux, jnp.where(in_turn, main, 0.0))
        return loss, (aux, {"main": jnp.mean(main), "over": jnp.mean(over)})

    def _per_head(self, logits):
        """[h, b (1 + r), k] -> losses [h]."""
        probs = jax.nn.softmax(logits, axis=2)
        h, _, k = probs.shape
        probs = probs.reshape(h, -1, 1 + self.repeats, k)
        perturbed = probs[:, :, 1:]
        plain = jnp.broadcast_to(probs[:, :, :1], perturbed.shape)
        return jax.vmap(self.of_head)(plain.reshape(h, -1, k), perturbed.reshape(h, -1, k))

    def refresh(self, model, aux, features, key):
        return model, heads.choose(aux)

    def assign(self, model, aux, features):
        return jax.nn.softmax(model.main(features)[aux["head"]], axis=1)

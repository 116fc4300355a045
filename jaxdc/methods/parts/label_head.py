"""The end of the networks of DAC and DCCM, which keeps all images from one cluster."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import nn


class LabelHead(nnx.Module):
    """Features -> logits: a projection to k numbers and two layers [k, k], each normalised and cut at 0.

    Args:
      n_in: width of the features.
      n_clusters: k.
      rngs: random streams for initialisation.
    """

    def __init__(self, n_in: int, n_clusters: int, rngs: nnx.Rngs):
        starts = ((n_in, nnx.initializers.he_normal()), (n_clusters, _identity), (n_clusters, _identity))
        self.layers = nnx.List(
            nnx.Linear(n, n_clusters, use_bias=False, kernel_init=start, rngs=rngs) for n, start in starts
        )
        self.norms = nnx.List(nn.BatchNorm(n_clusters) for _ in starts)

    def __call__(self, features: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, n_in] -> [b, k], none negative."""
        x = features
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = nnx.relu(norm(layer(x), train=train))
        return x


def _identity(key, shape, dtype):
    del key
    return jnp.eye(*shape, dtype=dtype)

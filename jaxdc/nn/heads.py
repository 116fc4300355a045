"""Small networks on top of an encoder's features, for projections and clusters."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc.nn.norm import BatchNorm


def linear(
    n_in: int, n_out: int, *, use_bias: bool = True, dtype: Any = jnp.float32, rngs: nnx.Rngs
) -> nnx.Linear:
    """A linear layer with PyTorch's initialisation: weights and biases uniform in +-1/sqrt(n_in).

    The result is float32, whatever ``dtype`` the product is computed in.
    """

    def uniform(key, shape, dtype):
        bound = 1 / math.sqrt(n_in)
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return nnx.Linear(
        n_in,
        n_out,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=uniform,
        bias_init=uniform,
        preferred_element_type=jnp.float32,
        rngs=rngs,
    )


class ProjectionHead(nnx.Module):
    """Maps features to the space in which a contrastive loss compares them. Unnormalised: the losses normalise.

    - SimCLR at CIFAR size, as in SCAN's code, and CC's instance head: ``(512, 512, 128)``.
    - SimCLR in Google's code: the same with ``batch_norm=True``.
    - DeepCluster-v2, SwAV: ``(2048, 2048, 128)`` with ``batch_norm=True, norm_last=False``.
    - MoCo v2: ``(n, n, 128)``. IDFD, and MoCo v1: ``hidden=None``, one linear layer.

    The papers' code initialises linear layers like PyTorch, uniform in +-1/sqrt(n_in), and so does this; Google's
    code uses a normal distribution with deviation 0.01, for which batch normalisation compensates.

    Args:
      n_in: width of the features.
      hidden: width of the ReLU layer, or None for a single linear layer.
      n_out: width of the result.
      batch_norm: normalise after each linear layer, which then has no bias; the last one gets no shift.
      norm_last: with ``batch_norm``, also normalise the last layer.
      dtype: dtype of the matrix products.
      rngs: random streams for initialisation.
    """

    def __init__(
        self,
        n_in: int,
        hidden: int | None,
        n_out: int,
        *,
        batch_norm: bool = False,
        norm_last: bool = True,
        dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        sizes = [n_in, n_out] if hidden is None else [n_in, hidden, n_out]
        last = len(sizes) - 2
        n_norms = (last + norm_last) if batch_norm else 0
        self.layers = nnx.List(
            linear(sizes[i], sizes[i + 1], use_bias=i >= n_norms, dtype=dtype, rngs=rngs) for i in range(last + 1)
        )
        self.norms = nnx.List(BatchNorm(sizes[i + 1], use_bias=i < last) for i in range(n_norms))

    def __call__(self, features: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, n_in] -> z [b, n_out], float32; ``train`` only matters with batch normalisation."""
        z = features
        for i, layer in enumerate(self.layers):
            z = layer(z)
            if i < len(self.norms):
                z = self.norms[i](z, train=train)
            if i < len(self.layers) - 1:
                z = nnx.relu(z)
        return z


class ClusterHead(nnx.Module):
    """Maps features to cluster logits, whose softmax is the assignment.

    CC's cluster head is ``(512, 512, k)`` and SCAN's ``(512, None, k)``, both without batch
    normalisation and with PyTorch's initialisation.

    Args:
      n_in: width of the features.
      hidden: width of the ReLU layer, or None for a single linear layer.
      n_clusters: number of clusters, k.
      dtype: dtype of the matrix products.
      rngs: random streams for initialisation.
    """

    def __init__(
        self, n_in: int, hidden: int | None, n_clusters: int, *, dtype: Any = jnp.float32, rngs: nnx.Rngs
    ):
        self.mlp = ProjectionHead(n_in, hidden, n_clusters, dtype=dtype, rngs=rngs)

    def __call__(self, features: jax.Array) -> jax.Array:
        """[b, n_in] -> logits [b, k], float32."""
        return self.mlp(features)


class ClusterHeads(nnx.Module):
    """Features -> logits of several linear cluster heads at once, as in IIC and PICA.

    Args:
      n_in: width of the features.
      n_heads: h.
      n_clusters: number of clusters, k.
      std: standard deviation of the initial weights; biases begin at 0.
      dtype: dtype of the matrix product.
      rngs: random streams for initialisation.
    """

    def __init__(
        self,
        n_in: int,
        n_heads: int,
        n_clusters: int,
        *,
        std: float = 0.01,
        dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(std * jax.random.normal(rngs.params(), (n_heads, n_in, n_clusters)))
        self.bias = nnx.Param(jnp.zeros((n_heads, 1, n_clusters)))
        self.dtype = dtype

    def __call__(self, features: jax.Array) -> jax.Array:
        """[b, n_in] -> logits [h, b, k], float32."""
        x, kernel = features.astype(self.dtype), self.kernel[...].astype(self.dtype)
        return jnp.einsum("bi,hik->hbk", x, kernel, preferred_element_type=jnp.float32) + self.bias[...]

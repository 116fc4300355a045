"""Batch normalisation with float32 statistics of the global batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx


class BatchNorm(nnx.Module):
    """Batch normalisation (Ioffe and Szegedy, 2015, arXiv 1502.03167) over all axes but the last.

    Statistics and arithmetic are float32 for any input dtype; only the result has the input's dtype.
    (``nnx.BatchNorm`` with a bfloat16 dtype rounds the running statistics to bfloat16 wherever it uses
    them.) Under ``jax.jit`` with a batch that is sharded over devices, the statistics cover the global
    batch, as in PyTorch's ``SyncBatchNorm``.

    Running statistics are updated as in PyTorch: ``running = momentum * running + (1 - momentum) * batch``
    with the unbiased variance, n / (n - 1) times the one used to normalise (Flax keeps the biased
    one). The momentum is the weight of the old value: 0.9 here is 0.1 in PyTorch.

    Args:
      n_features: size of the last axis.
      use_bias: whether to add a learned shift.
      zero_init: initialise the scale with 0 instead of 1.
      momentum: weight of the old running statistics in an update.
      epsilon: added to the variance.
    """

    def __init__(
        self,
        n_features: int,
        *,
        use_bias: bool = True,
        zero_init: bool = False,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
    ):
        self.momentum, self.epsilon = momentum, epsilon
        self.scale = nnx.Param((jnp.zeros if zero_init else jnp.ones)(n_features))
        self.bias = nnx.Param(jnp.zeros(n_features)) if use_bias else None
        self.mean = nnx.BatchStat(jnp.zeros(n_features))
        self.var = nnx.BatchStat(jnp.ones(n_features))

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[..., d] -> [..., d]; with ``train`` uses the batch's statistics and updates the running ones."""
        dtype, row = x.dtype, (1,) * (x.ndim - 1) + (-1,)
        x = x.astype(jnp.float32)
        if train:
            mean, var = self._statistics(x, row)
        else:
            mean, var = self.mean[...], self.var[...]
        factor = jax.lax.rsqrt(var + self.epsilon) * self.scale[...]
        y = (x - mean.reshape(row)) * factor.reshape(row)
        if self.bias is not None:
            y = y + self.bias[...].reshape(row)
        return y.astype(dtype)

    def _statistics(self, x: jax.Array, row: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
        """Mean and biased variance of this batch; updates the running statistics."""
        # Both sums come from one pass over x. Their difference would cancel if the mean is large
        # relative to the deviation, so x is shifted by the running mean, which is near this batch's.
        shift, axes = self.mean[...], tuple(range(x.ndim - 1))
        shifted = x - shift.reshape(row)
        offset = jnp.mean(shifted, axes)
        mean = shift + offset
        var = jnp.maximum(jnp.mean(jnp.square(shifted), axes) - jnp.square(offset), 0.0)
        n = x.size // x.shape[-1]
        keep, unbiased = self.momentum, n / max(n - 1, 1)
        self.mean[...] = jax.lax.stop_gradient(keep * self.mean[...] + (1 - keep) * mean)
        self.var[...] = jax.lax.stop_gradient(keep * self.var[...] + (1 - keep) * unbiased * var)
        return mean, var

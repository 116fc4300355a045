"""Batch normalisation with float32 statistics of the global batch."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc.errors import InputError


class BatchNorm(nnx.Module):
    """Batch normalisation (Ioffe and Szegedy, 2015, arXiv 1502.03167) over all axes but the last.

    Statistics and arithmetic are float32 for any input dtype; only the result has the input's dtype.
    (``nnx.BatchNorm`` with a bfloat16 dtype rounds the running statistics to bfloat16 wherever it uses
    them.) Under ``jax.jit`` with a batch that is sharded over devices, the statistics cover the global
    batch, as in PyTorch's ``SyncBatchNorm``, or with ``groups`` each of its groups.

    Running statistics are updated as in PyTorch: ``running = momentum * running + (1 - momentum) * batch``
    with the unbiased variance, n / (n - 1) times the one used to normalise (Flax keeps the biased
    one). The momentum is the weight of the old value: 0.9 here is 0.1 in PyTorch.

    Args:
      n_features: size of the last axis.
      use_bias: whether to add a learned shift.
      zero_init: initialise the scale with 0 instead of 1.
      momentum: weight of the old running statistics in an update.
      epsilon: added to the variance.
      groups: into how many groups of consecutive samples a batch is cut in training, each of which is normalised
        by its own statistics (ghost batch normalisation, Hoffer et al., 2017, arXiv 1705.08741). The running ones
        are updated by the average over the groups. With as many groups as devices, no statistics are exchanged.
    """

    def __init__(
        self,
        n_features: int,
        *,
        use_bias: bool = True,
        zero_init: bool = False,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        groups: int = 1,
    ):
        self.momentum, self.epsilon, self.groups = momentum, epsilon, groups
        self.scale = nnx.Param((jnp.zeros if zero_init else jnp.ones)(n_features))
        self.bias = nnx.Param(jnp.zeros(n_features)) if use_bias else None
        self.mean = nnx.BatchStat(jnp.zeros(n_features))
        self.var = nnx.BatchStat(jnp.ones(n_features))

    def __call__(
        self, x: jax.Array, *, train: bool = False, residual: jax.Array | None = None, relu: bool = False
    ) -> jax.Array:
        """[b, ..., d] -> [b, ..., d].

        Args:
          x: samples.
          train: normalise by the statistics of this batch, and update the running ones.
          residual: [b, ..., d] of the same dtype, added to the normalised samples.
          relu: whether the last operation is a ReLU.
        """
        scale = self.scale[...]
        bias = jnp.zeros_like(scale) if self.bias is None else self.bias[...]
        if not train:
            factor = jax.lax.rsqrt(self.var[...] + self.epsilon) * scale
            y = _affine(x, _row(self.mean[...], x), _row(factor, x), bias)
            return _finished(y, x.dtype, residual, relu)
        if x.shape[0] % self.groups:
            raise InputError(
                f"a batch of {x.shape[0]} can't be normalised in {self.groups} groups of equal size: use a number "
                "of groups that divides it"
            )
        shift, axes = jax.lax.stop_gradient(self.mean[...]), tuple(range(x.ndim - 1))
        shape = x.shape
        if self.groups > 1:
            cut = (self.groups, x.shape[0] // self.groups, *x.shape[1:])
            x, residual = x.reshape(cut), None if residual is None else residual.reshape(cut)
            axes = tuple(range(1, x.ndim - 1))
        results: Any = _normalised(x, scale, bias, shift, residual, axes, self.epsilon, relu)
        y, *moments = results
        mean, var = (jax.lax.stop_gradient(jnp.mean(m.reshape(-1, m.shape[-1]), 0)) for m in moments)
        n, keep = x.size // x.shape[-1] // self.groups, self.momentum
        self.mean[...] = keep * self.mean[...] + (1 - keep) * mean
        self.var[...] = keep * self.var[...] + (1 - keep) * (n / max(n - 1, 1)) * var
        return y.reshape(shape)


def _row(values: jax.Array, x: jax.Array) -> jax.Array:
    """[d] -> [1, ..., d], with as many axes as x."""
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


def _affine(x, mean, factor, bias):
    """In float32; mean and factor are of each feature, or of each group and feature."""
    return (x.astype(jnp.float32) - mean) * factor + _row(bias, x)


def _finished(y, dtype, residual, relu):
    """The result of normalised samples, with what follows them."""
    y = y.astype(dtype) if residual is None else y.astype(dtype) + residual
    return jnp.maximum(y, 0) if relu else y


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def _normalised(x, scale, bias, shift, residual, axes, epsilon, relu):
    """The result, and the mean and the biased variance over these axes, which are kept, and get no gradient.

    The gradient is written out, because the derivative that JAX makes of the forward pass moves more memory: it
    sums three times where two are enough, and stores what can be computed again from x.
    """
    return _forward(x, scale, bias, shift, residual, axes, epsilon, relu)[0]


def _forward(x, scale, bias, shift, residual, axes, epsilon, relu):
    # Both sums come from one pass over x. Their difference would cancel if the mean is large relative to the
    # deviation, so x is shifted by the running mean, which is near this batch's.
    shifted = x.astype(jnp.float32) - _row(shift, x)
    offset = jnp.mean(shifted, axes, keepdims=True)
    mean = _row(shift, x) + offset
    var = jnp.maximum(jnp.mean(jnp.square(shifted), axes, keepdims=True) - jnp.square(offset), 0.0)
    inverse = jax.lax.rsqrt(var + epsilon)
    y = _finished(_affine(x, mean, inverse * _row(scale, x), bias), x.dtype, residual, relu)
    if residual is None:
        return (y, mean, var), (x, mean, inverse, scale, bias, None)
    # The barrier keeps the compiler from computing y again in the backward pass, where it is read for its sign.
    y = jax.lax.optimization_barrier(y)
    return (y, mean, var), (x, mean, inverse, scale, bias, y)


def _backward(axes, epsilon, relu, saved, cotangents):
    del epsilon
    x, mean, inverse, scale, bias, y = saved
    dy = summed = cotangents[0]
    zero, factor = jnp.zeros((), dy.dtype), inverse * _row(scale, x)
    if relu and y is None:
        dy = summed = jnp.where(_affine(x, mean, factor, bias) > 0, dy, zero)
    elif relu:
        # The gradient of the residual has to be stored anyway: behind the barrier, dx reads it, and does not
        # compute it again. The sums belong to the kernel that stores it. They have a mask of their own (after a
        # ReLU, y > 0 is y != 0): the compiler would merge equal masks, and read the stored gradient once more
        # for the sums.
        dy, summed = jax.lax.optimization_barrier(jnp.where(y != 0, dy, zero)), jnp.where(y > 0, dy, zero)

    def standardised(x):
        return (x.astype(jnp.float32) - mean) * inverse

    summed, n = summed.astype(jnp.float32), x.size // mean.size
    total = jnp.sum(summed, axes, keepdims=True)
    along = jnp.sum(summed * standardised(x), axes, keepdims=True)
    dx = factor * (dy.astype(jnp.float32) - total / n - standardised(x) * (along / n))
    of_scale, of_bias = (jnp.sum(sums.reshape(-1, sums.shape[-1]), 0) for sums in (along, total))
    return dx.astype(x.dtype), of_scale, of_bias, jnp.zeros_like(scale), None if y is None else dy


_normalised.defvjp(_forward, _backward)

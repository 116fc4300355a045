"""A batch norm with a backward pass of its own, to compare with what XLA makes of the library's.

``use()`` swaps it in.

ReLU and the residual are part of the function, whose output is saved behind an optimization barrier: the backward
pass reads the mask of the ReLU off it, and need not compute the normalised values again for that.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc.nn import norm, resnet


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def batch_norm(x, scale, bias, shift, residual, epsilon, relu):
    """The normalised batch, its mean and its biased variance; ``shift`` is near the mean and gets no gradient."""
    return _forward(x, scale, bias, shift, residual, epsilon, relu)[0]


def _forward(x, scale, bias, shift, residual, epsilon, relu):
    axes = tuple(range(x.ndim - 1))
    shifted = x.astype(jnp.float32) - _row(shift, x)
    offset = jnp.mean(shifted, axes)
    variance = jnp.maximum(jnp.mean(jnp.square(shifted), axes) - jnp.square(offset), 0.0)
    mean, deviation = shift + offset, jax.lax.rsqrt(variance + epsilon)
    factor = deviation * scale
    y = x.astype(jnp.float32) * _row(factor, x) + _row(bias - mean * factor, x)
    if residual is not None:
        y = y + residual.astype(jnp.float32)
    y = (jnp.maximum(y, 0) if relu else y).astype(x.dtype)
    if relu:
        y = jax.lax.optimization_barrier(y)
    return (y, mean, variance), (x, y if relu else None, mean, deviation, scale, residual is not None)


def _backward(epsilon, relu, saved, cotangents):
    del epsilon
    x, y, mean, deviation, scale, has_residual = saved
    axes, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    dy = cotangents[0]
    if relu:
        dy = jnp.where(y > 0, dy, jnp.zeros((), dy.dtype))
    if has_residual:
        dy = jax.lax.optimization_barrier(dy)
    normalised = (x.astype(jnp.float32) - _row(mean, x)) * _row(deviation, x)
    g = dy.astype(jnp.float32)
    total, along = jnp.sum(g, axes), jnp.sum(g * normalised, axes)
    dx = _row(deviation * scale, x) * (g - _row(total / n, x) - normalised * _row(along / n, x))
    return dx.astype(x.dtype), along, total, jnp.zeros_like(mean), dy if has_residual else None


batch_norm.defvjp(_forward, _backward)


def _row(values, x):
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


def use():
    """Lets every ResNet of this process train with it."""
    plain = norm.BatchNorm.__call__

    def normalised(self, x, train, relu=False, residual=None):
        """Of a convolution and its norm."""
        x, module = self.conv(x), self.norm
        if not train:
            y = plain(module, x)
            y = y if residual is None else y + residual
            return nnx.relu(y) if relu else y
        y, mean, variance = batch_norm(
            x, module.scale[...], module.bias[...], jax.lax.stop_gradient(module.mean[...]), residual,
            module.epsilon, relu,
        )  # fmt: skip
        mean, variance = jax.lax.stop_gradient((mean, variance))
        n, keep = x.size // x.shape[-1], module.momentum
        module.mean[...] = keep * module.mean[...] + (1 - keep) * mean
        module.var[...] = keep * module.var[...] + (1 - keep) * n / max(n - 1, 1) * variance
        return y

    def block(self, x, train):
        y = x
        for layer in self.layers[:-1]:
            y = layer(y, train, relu=True)
        return self.layers[-1](
            y, train, relu=True, residual=x if self.shortcut is None else self.shortcut(x, train)
        )

    resnet._ConvNorm.__call__ = normalised
    resnet._Block.__call__ = block

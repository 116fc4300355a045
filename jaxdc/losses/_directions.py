"""Cosines without division by zero, in value and gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def unit(x: jax.Array) -> jax.Array:
    """Scales rows to length 1; zero rows stay zero, with gradient 0."""
    squared = jnp.sum(x * x, axis=-1, keepdims=True)
    return x * safe_rsqrt(squared)


def cosines(gram: jax.Array) -> jax.Array:
    """Cosines between columns, from their inner products: [d, d]."""
    scale = safe_rsqrt(jnp.diagonal(gram))
    return gram * scale[:, None] * scale[None, :]


def safe_rsqrt(x: jax.Array) -> jax.Array:
    """``1 / sqrt(x)``, or 0 if x is so small that the derivative, ``-x^(-3/2) / 2``, would overflow."""
    some = x > jnp.finfo(x.dtype).tiny ** 0.625  # 2e-24 in float32
    return jnp.where(some, jax.lax.rsqrt(jnp.where(some, x, 1.0)), 0.0)

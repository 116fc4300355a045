"""Argument checks that name the argument."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def matrix(name: str, x, columns: tuple[str, int] | None = None) -> jax.Array:
    """Returns ``x`` as a float32-or-wider array of rank 2, or says what is wrong with it."""
    x = jnp.asarray(x)
    if x.ndim != 2:
        raise ValueError(f"{name} must be a matrix [n, d], but its shape is {x.shape}")
    if columns is not None and x.shape[1] != columns[1]:
        raise ValueError(f"{name} has {x.shape[1]} columns, but {columns[0]} has {columns[1]}")
    return widen(x)


def widen(x: jax.Array) -> jax.Array:
    """Half-precision input is computed in float32; float32 and float64 stay as they are."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def same_shape(name1: str, x1: jax.Array, name2: str, x2: jax.Array) -> None:
    if x1.shape != x2.shape:
        raise ValueError(f"{name1} {x1.shape} and {name2} {x2.shape} must have one shape")


def positive(name: str, value) -> None:
    """Checks a concrete number; a traced one is let through."""
    if isinstance(value, int | float) and not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a positive number, but is {value}")

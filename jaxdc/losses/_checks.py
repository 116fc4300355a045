"""Argument checks whose errors name the argument."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.core import Tracer


def matrix(name: str, x, columns: tuple[str, int] | None = None) -> jax.Array:
    """Returns ``x`` as a float32-or-wider array of rank 2, or raises ValueError."""
    x = jnp.asarray(x)
    if x.ndim != 2:
        raise ValueError(f"{name} must be a matrix [n, d], but its shape is {x.shape}")
    if columns is not None and x.shape[1] != columns[1]:
        raise ValueError(f"{name} has {x.shape[1]} columns, but {columns[0]} has {columns[1]}")
    return widen(x)


def matrices(name1: str, x1, name2: str, x2) -> tuple[jax.Array, jax.Array]:
    """Two matrices of the same shape."""
    x1, x2 = matrix(name1, x1), matrix(name2, x2)
    same_shape(name1, x1, name2, x2)
    return x1, x2


def indices(name: str, x, length: tuple[str, int]) -> jax.Array:
    """Returns ``x`` as an integer vector with one entry per row of another argument."""
    x = integers(name, x)
    if x.shape[0] != length[1]:
        raise ValueError(f"{name} has {x.shape[0]} entries, but {length[0]} has {length[1]} rows")
    return x


def integers(name: str, x) -> jax.Array:
    """Returns ``x`` as an integer vector of any length."""
    x = jnp.asarray(x)
    if x.ndim != 1 or not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"{name} must be a vector of integers [n], but is {x.dtype}{list(x.shape)}")
    return x


def vector(name: str, x, length: tuple[str, int]) -> jax.Array:
    """Returns ``x`` as a float32-or-wider vector with one entry per row of another argument."""
    x = jnp.asarray(x)
    if x.ndim != 1 or x.shape[0] != length[1]:
        raise ValueError(
            f"{name} must be a vector [{length[1]}], one entry per row of {length[0]}, not {list(x.shape)}"
        )
    return widen(x)


def widen(x: jax.Array) -> jax.Array:
    """Converts half precision to float32; float32 and float64 are unchanged."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def same_shape(name1: str, x1: jax.Array, name2: str, x2: jax.Array) -> None:
    if x1.shape != x2.shape:
        raise ValueError(f"{name1} {x1.shape} and {name2} {x2.shape} must have the same shape")


def positive(name: str, value) -> None:
    """Checks a concrete number; traced ones are not checked."""
    if isinstance(value, Tracer):
        return
    if not (float(value) > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a positive number, but is {value}")


def fraction(name: str, value) -> None:
    """Checks that a concrete number is from 0 to 1."""
    if not isinstance(value, Tracer) and not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must be from 0 to 1, but is {value}")


def at_most(name: str, value, limit_name: str, limit) -> None:
    """Checks the order of two concrete numbers."""
    if not isinstance(value, Tracer) and not isinstance(limit, Tracer) and float(value) > float(limit):
        raise ValueError(f"{name} must be at most {limit_name}, {limit}, but is {value}")


def one_of(name: str, value, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, but is {value!r}")

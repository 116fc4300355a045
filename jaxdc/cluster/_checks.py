"""Argument checks whose errors name the argument."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType


def matrix(name: str, x, columns: tuple[str, int] | None = None) -> jax.Array:
    """Returns ``x`` as a non-empty array of rank 2, or raises ValueError."""
    x = jnp.asarray(x)
    if x.ndim != 2:
        raise ValueError(f"{name} must be a matrix [n, d], but its shape is {x.shape}")
    if 0 in x.shape:
        raise ValueError(f"{name} must hold at least one sample and one feature, but its shape is {x.shape}")
    if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer)):
        raise ValueError(f"{name} must hold real numbers, but its type is {x.dtype}")
    if columns is not None and x.shape[1] != columns[1]:
        raise ValueError(f"{name} has {x.shape[1]} columns, but {columns[0]} has {columns[1]}")
    sharding = jax.typeof(x).sharding
    if AxisType.Explicit in sharding.mesh.axis_types and any(axis is not None for axis in sharding.spec):
        raise ValueError(
            f"{name} is split over a mesh with Explicit axes, on which the compiler can't insert the "
            "communication that clustering needs; use Auto axes, or call within jax.sharding.auto_axes"
        )
    return x


def labels(name: str, value, n_clusters: int) -> jax.Array:
    """Returns the clusters of samples as int32 ``[n]``; concrete ones must be from 0 to k - 1."""
    value = jnp.asarray(value)
    if value.ndim != 1 or not jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers [n], but is {value.dtype} of shape {value.shape}")
    if value.size and not isinstance(value, Tracer):
        for one in (int(jnp.min(value)), int(jnp.max(value))):
            if not 0 <= one < n_clusters:
                raise ValueError(f"{name} must be from 0 to {n_clusters - 1}, but one is {one}")
    return value.astype(jnp.int32)


def wide(x: jax.Array) -> jax.Array:
    """Converts integers and half precision to float32; float64 is unchanged."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def within(name: str, value, lowest: int, highest: int, what: str) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be from {lowest} to {highest} {what}, but is {value}")


def at_least(name: str, value, lowest) -> None:
    """Checks a concrete number; traced ones are not checked."""
    if isinstance(value, int | float) and not value >= lowest:
        raise ValueError(f"{name} must be at least {lowest}, but is {value}")

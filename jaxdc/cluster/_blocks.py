"""Passes over the samples in blocks, without communication if the samples are sharded.

The samples ``[n, d]`` are viewed as ``[s, m, d]``: s contiguous shares of m rows. A block holds the same few
rows of every share. If s is a multiple of the number of devices that hold the rows, each device has its
part of every block locally, so the compiler, which knows nothing of the mesh here, has no reason to
move samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.core import Tracer

# Distances decide ties between centroids; with reduced-precision matrix units, noise would decide them.
PRECISION = jax.lax.Precision.HIGHEST

# The largest intermediate matrix, in values. On a CPU, a block that fits the cache is about twice as
# fast; an accelerator prefers few large kernels.
_CPU_BLOCK = 3 * 2**17
_ACCELERATOR_BLOCK = 2**26


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def n_shares(x: jax.Array) -> int:
    """Number of contiguous shares to cut the rows into; when traced, as many as devices allow."""
    if isinstance(x, Tracer):
        return math.gcd(x.shape[0], jax.device_count())
    return x.shape[0] // x.sharding.shard_shape(x.shape)[0]


def rows_a_block(width: int, n_shares: int, n_rows: int) -> int:
    """Rows per share in a block, if each row takes ``width`` intermediate values."""
    if on_cpu():
        rows = max(_CPU_BLOCK // width, 128)
    else:
        rows = max(_ACCELERATOR_BLOCK // (width * n_shares), 8)
    return min(rows, n_rows)


def shares(x: jax.Array, n_shares: int) -> jax.Array:
    """Reshapes rows ``[n, ...]`` to ``[s, m, ...]``."""
    return x.reshape(n_shares, x.shape[0] // n_shares, *x.shape[1:])


def fold(x: jax.Array, rows: int, step: Callable, carry):
    """``carry = step(carry, block [s, rows, d], start, fresh [rows])`` over the blocks of ``x [s, m, d]``.

    The last block reaches back so that it is full: ``fresh`` is False for rows already seen.
    """
    m = x.shape[1]
    if rows >= m:
        return step(carry, x, 0, jnp.ones(m, bool))

    def body(i, carry):
        start = jnp.minimum(i * rows, m - rows)
        block = jax.lax.dynamic_slice_in_dim(x, start, rows, axis=1)
        return step(carry, block, start, start + jnp.arange(rows) >= i * rows)

    return jax.lax.fori_loop(0, -(-m // rows), body, carry)


def write(whole: jax.Array, part: jax.Array, start) -> jax.Array:
    """Writes a block's results ``[s, rows]`` into place in ``[s, m]``."""
    return jax.lax.dynamic_update_slice_in_dim(whole, part, start, axis=1)


def unit(x):
    """Rows divided by their length; zero rows stay zero."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def origin_of(x):
    """The mean of up to 256 rows: a point amid the samples, bit-identical on any number of devices."""
    n = x.shape[0]
    return jnp.mean(x[jnp.arange(min(n, 256)) * (n // min(n, 256))], axis=0)

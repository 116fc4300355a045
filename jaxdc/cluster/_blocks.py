"""Passes over the samples in blocks, without communication if the samples are sharded.

The samples ``[n, d]`` are viewed as ``[s, m, d]``: s contiguous shares of m rows. A block holds the same few
rows of every share. If s is a multiple of the number of devices that hold the rows, each device has its
part of every block locally, so the compiler has no reason to move samples. If s does not divide n, the last share
ends in rows of zeros, which ``fold`` marks.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdc.cluster import layout
from jaxdc.cluster.layout import Cut

# Share by which a run must be better than those before it. Runs that find the same clusters, numbered differently,
# differ by rounding, which depends on the number of devices.
TIE = 1e-5

# Distances decide ties between centroids; with reduced-precision matrix units, noise would decide them.
PRECISION = jax.lax.Precision.HIGHEST

# Three products of bfloat16 instead, on matrix units; they leave 16 bits, enough while the centroids still move.
THREE_PRODUCTS = jax.lax.DotAlgorithmPreset.BF16_BF16_F32_X3

# The largest intermediate matrix, in values. On a CPU, a block that fits the cache is about twice as
# fast; an accelerator prefers few large kernels.
_CPU_BLOCK = 3 * 2**17
_ACCELERATOR_BLOCK = 2**26


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


Precision = jax.lax.Precision | jax.lax.DotAlgorithmPreset


def moving_precision() -> Precision:
    """For products whose result is only a step on the way, on these devices."""
    if on_cpu() or float(getattr(jax.devices()[0], "compute_capability", "8.0")) < 8.0:
        return PRECISION
    return THREE_PRODUCTS


def rows_a_block(width: int, n_shares: int, n_rows: int) -> int:
    """Rows per share in a block, if each row takes ``width`` intermediate values."""
    if on_cpu():
        rows = max(_CPU_BLOCK // width, 128)
    else:
        rows = max(_ACCELERATOR_BLOCK // (width * n_shares), 8)
    return min(rows, n_rows)


def shares(x: jax.Array, cut: Cut, each: Callable[[jax.Array], jax.Array] | None = None) -> jax.Array:
    """Brings rows ``[n, ...]``, each of them by ``each``, to ``[s, m, ...]``."""
    rows = layout.to_rows(x, cut, each)
    return rows.reshape(cut.n_shares, rows.shape[0] // cut.n_shares, *x.shape[1:])


def fold(x: jax.Array, n: int, rows: int, step: Callable, carry):
    """``carry = step(carry, block [s, rows, d], start, fresh)`` over the blocks of ``x [s, m, d]``.

    The last block reaches back so that it is full: ``fresh`` is False for rows already seen, and for those from
    the n-th on, which are no samples. It is ``[1, rows]``, or ``[s, rows]`` if there are such rows.
    """
    n_shares, m = x.shape[:2]

    def samples(start):
        places = start + jnp.arange(min(rows, m))
        if n == n_shares * m:
            return jnp.ones((1, len(places)), bool)
        return (jnp.arange(n_shares) * m)[:, None] + places[None, :] < n

    if rows >= m:
        return step(carry, x, 0, samples(0))

    def body(i, carry):
        start = jnp.minimum(i * rows, m - rows)
        block = jax.lax.dynamic_slice_in_dim(x, start, rows, axis=1)
        unseen = start + jnp.arange(rows) >= i * rows
        return step(carry, block, start, samples(start) & unseen[None, :])

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

"""Turns self-expression coefficients into an affinity for spectral clustering."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from jaxdc.cluster import _checks


def subspace_affinity(
    coefficients: Real[Array, "n n"], *, keep: float = 1.0, rank: int | None = None, power: float = 1.0
) -> Float[Array, "n n"]:
    """Affinity of samples that express each other: ``(|C| + |C|^T) / 2``, optionally pruned and of low rank.

    With ``keep`` or ``rank`` it is the post-processing in the released code of DSC-Net (Ji et al., 2017, arXiv
    1709.02508), which goes back to low-rank representation (Liu et al., 2013): small coefficients are noise, and
    so is everything outside the leading directions of the symmetrised remainder. The affinity of samples is then
    given by the angle between their coordinates in these directions.

    The full ``[n, n]`` matrix is sorted if ``keep`` is below 1, and decomposed with ``rank``: n^2 memory, n^3
    time.

    Args:
      coefficients: C ``[n, n]``, finite; row i expresses sample i by the others. Computed in float32 (float64
        stays). The diagonal is ignored.
      keep: share of each row's absolute sum to keep: the largest values are kept until they reach it. Above 0
        and at most 1; 1 keeps all.
      rank: number of directions, those with the largest singular values of ``(C + C^T) / 2``; about n_clusters
        times the dimension of a subspace. None: ``(|C| + |C|^T) / 2`` of the kept values.
      power: exponent of the affinity, which increases the contrast between near and far samples.

    Returns:
      ``[n, n]``, symmetric; from 0 to 1 with a ``rank``, otherwise non-negative.

    Raises:
      ValueError: ``coefficients`` is not a square numeric matrix, or a number is out of range.

    Example:
      >>> print(subspace_affinity(jnp.array([[0.0, 3.0], [-1.0, 0.0]])))
      [[0. 2.]
       [2. 0.]]
    """
    c = _checks.matrix("coefficients", coefficients)
    if c.shape[0] != c.shape[1]:
        raise ValueError(f"coefficients must be square, but its shape is {c.shape}")
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be above 0 and at most 1, but is {keep}")
    if rank is not None:
        _checks.within("rank", rank, 1, c.shape[0], "(the number of directions)")
    if not power > 0:
        raise ValueError(f"power must be above 0, but is {power}")
    return _affinity(c, keep, rank, power, prune=keep < 1)


@functools.partial(jax.jit, static_argnames=("rank", "prune"))
def _affinity(c, keep, rank, power, prune):
    c = _checks.wide(c)
    c = jnp.where(jnp.eye(c.shape[0], dtype=bool), 0.0, c)
    if prune:
        c = jnp.where(jnp.abs(c) >= _smallest_kept(jnp.abs(c), keep)[:, None], c, 0.0)
    if rank is None:
        magnitude = jnp.abs(c)
        return (0.5 * (magnitude + magnitude.T)) ** power
    # For a symmetric matrix, singular values are absolute eigenvalues, and a direction's sign cancels below.
    values, vectors = jnp.linalg.eigh(0.5 * (c + c.T))
    leading = jax.lax.top_k(jnp.abs(values), rank)[1]
    rows = vectors[:, leading] * jnp.sqrt(jnp.abs(values[leading]))[None, :]
    length = jnp.linalg.norm(rows, axis=1, keepdims=True)
    # A sample that no other expresses gets no affinity, whatever direction rounding gives it.
    resolution = jnp.finfo(rows.dtype).eps * rows.shape[0] * jnp.max(length)
    rows = jnp.where(length > resolution, rows / jnp.where(length > 0, length, 1.0), 0.0)
    cosines = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.clip(0.5 * (cosines + cosines.T), 0.0, 1.0) ** power


def _smallest_kept(magnitude, keep):
    """The smallest value to keep in each row."""
    falling = -jnp.sort(-magnitude, axis=1)
    sums = jnp.cumsum(falling, axis=1)
    # The first position that reaches the share; equal values are all kept or all dropped.
    place = jnp.argmax(sums >= keep * sums[:, -1:], axis=1)
    return jnp.take_along_axis(falling, place[:, None], axis=1)[:, 0]

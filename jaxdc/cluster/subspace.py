"""From self-expression to a graph: how strongly coefficients are held back, and their affinity."""

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
    c = _square(coefficients)
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be above 0 and at most 1, but is {keep}")
    if rank is not None:
        _checks.within("rank", rank, 1, c.shape[0], "(the number of directions)")
    if not power > 0:
        raise ValueError(f"power must be above 0, but is {power}")
    return _affinity(c, keep, rank, power, prune=keep < 1)


def coefficient_neighbors(coefficients: Real[Array, "n n"], n_neighbors: int) -> Float[Array, "n n"]:
    """Affinity of samples that the same samples express: a graph of the nearest rows of the coefficients.

    Each sample is joined to those whose rows of ``(C + C^T) / 2`` have the largest cosines with its own. A row
    has a value for every sample, so it is less noisy than any single coefficient, and the graph is sparse however
    dense the coefficients of a squared norm are. Thresholding ridge regression keeps the largest coefficients
    themselves (Peng, Yi, Tang, AAAI 2015, 29:3827-3833).

    The full ``[n, n]`` matrix is multiplied and sorted: n^2 memory, n^3 time.

    Args:
      coefficients: C ``[n, n]``, finite; row i expresses sample i by the others. Computed in float32 (float64
        stays). The diagonal is ignored.
      n_neighbors: neighbours of each sample, from 1 to n - 1.

    Returns:
      ``[n, n]``, symmetric, from 0 to 1: half the cosine if one of the two is a neighbour of the other, all of it
      if both are. Cosines below 0 count as 0.

    Raises:
      ValueError: ``coefficients`` is not a square numeric matrix, or ``n_neighbors`` is out of range.

    Example:
      >>> c = jnp.array([[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
      >>> print(coefficient_neighbors(c, 1)[2].round(2))
      [0.2  0.87 0.   0.  ]
    """
    c = _square(coefficients)
    _checks.within("n_neighbors", n_neighbors, 1, c.shape[0] - 1, "(the number of other samples)")
    return _neighbors(c, n_neighbors)


def ridge_weight(squares: Real[Array, " d"], degrees: float) -> Float[Array, ""]:
    """The weight of the squared norm at which self-expression has this many degrees of freedom.

    The coefficients that minimise ``|Z - C Z|^2 + w |C|^2`` shrink each singular direction of Z, of squared
    singular value s, to the share ``s / (s + w)``; the shares sum to the degrees of freedom of ridge regression
    (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2009, equation 3.50). The sum falls with
    w, and bisection finds where it is ``degrees``. If all samples are multiplied by a number, the weight grows
    with its square and the coefficients stay as they were.

    Args:
      squares: squared singular values of Z ``[d]``, not negative.
      degrees: degrees of freedom, above 0 and below d.

    Returns:
      w, a scalar in the unit of ``squares``. If fewer than ``degrees`` values are above 0, close to 0.

    Raises:
      ValueError: ``squares`` is not a numeric vector, or ``degrees`` is out of range.

    Example:
      >>> print(round(float(ridge_weight(jnp.array([6.0, 6.0, 6.0]), 1.0)), 3))
      12.0
    """
    squares = jnp.asarray(squares)
    if squares.ndim != 1 or not jnp.issubdtype(squares.dtype, jnp.number):
        raise ValueError(
            f"squares must be a vector [d] of numbers, but is {squares.dtype} of shape {squares.shape}"
        )
    if not 0 < degrees < squares.shape[0]:
        raise ValueError(f"degrees must be above 0 and below {squares.shape[0]}, but is {degrees}")
    squares = jnp.maximum(_checks.wide(squares), 0.0)
    unit = jnp.maximum(jnp.max(squares), jnp.finfo(squares.dtype).tiny)
    shares = squares / unit

    def halve(_, ends):
        low, high = ends
        middle = 0.5 * (low + high)
        many = jnp.sum(shares / (shares + jnp.exp(middle))) > degrees
        return jnp.where(many, middle, low), jnp.where(many, high, middle)

    # With w = d / degrees times the largest value the sum is below degrees, for every share is below degrees / d.
    low, high = jnp.log(jnp.finfo(squares.dtype).eps), jnp.log(squares.shape[0] / degrees)
    low, high = jax.lax.fori_loop(0, 40, halve, (low.astype(squares.dtype), high.astype(squares.dtype)))
    return unit * jnp.exp(0.5 * (low + high))


def _square(coefficients):
    c = _checks.matrix("coefficients", coefficients)
    if c.shape[0] != c.shape[1]:
        raise ValueError(f"coefficients must be square, but its shape is {c.shape}")
    return c


@functools.partial(jax.jit, static_argnames="n_neighbors")
def _neighbors(c, n_neighbors):
    c = _checks.wide(c)
    diagonal = jnp.eye(c.shape[0], dtype=bool)
    rows = jnp.where(diagonal, 0.0, 0.5 * (c + c.T))
    length = jnp.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / jnp.where(length > 0, length, 1.0)
    cosines = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    cosines = jnp.where(diagonal, 0.0, jnp.clip(cosines, 0.0, 1.0))
    smallest = jax.lax.top_k(cosines, n_neighbors)[0][:, -1:]
    kept = jnp.where(cosines >= smallest, cosines, 0.0)
    return 0.5 * (kept + kept.T)


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

"""Losses for subspace clustering and for correlated modalities."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.losses import _checks, _global


def self_expression(z: Float[Array, "n d"], coefficients: Float[Array, "n n"]) -> Float[Array, "n d"]:
    """The part of each sample that the others do not explain: the residual ``z - C z``.

    Rows are samples. The squared norm of the residual is the self-expression term of deep subspace clustering (Ji
    et al., 2017, arXiv 1709.02508, equation 5) and of CMSC-DCCA (Gao et al., 2020). The caller must keep the
    diagonal of C at 0, or the optimum is that every sample explains itself.

    Args:
      z: embeddings of all samples ``[n, d]``.
      coefficients: C ``[n, n]``; row i expresses sample i by the others.

    Returns:
      ``[n, d]``, in the unit of ``z``.

    Raises:
      ValueError: an argument is not a matrix, or ``coefficients`` is not ``[n, n]``.

    Example:
      >>> z, c = jnp.array([[1.0], [3.0]]), jnp.array([[0.0, 0.5], [2.0, 0.0]])
      >>> print(self_expression(z, c))
      [[-0.5]
       [ 1. ]]
    """
    z, c = _checks.matrix("z", z), _checks.matrix("coefficients", coefficients)
    if c.shape != (z.shape[0], z.shape[0]):
        raise ValueError(f"coefficients must be {(z.shape[0],) * 2}, square in the rows of z, but is {c.shape}")
    return z - c @ _global.on_all(z)


def canonical_correlation(
    z1: Float[Array, "b d1"],
    z2: Float[Array, "b d2"],
    *,
    n_components: int | None = None,
    regularization: float = 1e-4,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Negative sum of the canonical correlations between two modalities.

    The singular values of ``T = S11^(-1/2) S12 S22^(-1/2)``, with covariances over the global batch and
    ``regularization`` added to the diagonals of S11 and S22: the objective of Deep CCA (Andrew et al., ICML
    2013, equations 8 to 10).

    Eigenvalues below float32's resolution relative to the largest are raised to it. The gradient of the inverse
    square root is its exact divided difference, which stays finite for equal eigenvalues.

    Args:
      z1: embeddings of the first modality ``[b, d1]``.
      z2: embeddings of the second modality ``[b, d2]``, with the same samples in the same rows.
      n_components: number of largest correlations to sum; None sums all ``min(d1, d2)``.
      regularization: added to the covariances' diagonals, > 0, in the squared unit of the embeddings.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      A scalar from ``-n_components`` to 0; equal on all devices.

    Raises:
      ValueError: an argument is not a matrix, the numbers of rows differ, or ``n_components`` or
        ``regularization`` is out of range.

    Example:
      >>> z = jnp.array([[1.0], [2.0], [4.0]])
      >>> print(round(float(canonical_correlation(z, -3.0 * z)), 3))
      -1.0
    """
    z1, z2 = _checks.matrix("z1", z1), _checks.matrix("z2", z2)
    if z1.shape[0] != z2.shape[0]:
        raise ValueError(f"z1 has {z1.shape[0]} rows, but z2 has {z2.shape[0]}")
    most = min(z1.shape[1], z2.shape[1])
    if n_components is not None and not 1 <= n_components <= most:
        raise ValueError(f"n_components must be from 1 to {most}, but is {n_components}")
    _checks.positive("regularization", regularization)
    z1, z2 = _centred(z1, axis_name), _centred(z2, axis_name)
    n = max(_global.n_rows(z1.shape[0], axis_name) - 1, 1)
    white1 = _whitener(_global.gram(z1, z1, axis_name) / n, regularization)
    white2 = _whitener(_global.gram(z2, z2, axis_name) / n, regularization)
    cross = _global.gram(z1, z2, axis_name) / n
    t = _product(white1, cross, white2)
    return -jnp.sum(jnp.linalg.svd(t, compute_uv=False)[:n_components])


def _centred(z, axis_name):
    mean = _global.total(jnp.sum(z, axis=0), axis_name) / _global.n_rows(z.shape[0], axis_name)
    return z - mean[None, :]


def _whitener(covariance, regularization):
    """The inverse square root of ``covariance + regularization I``."""
    return _inverse_sqrt(covariance + regularization * jnp.eye(covariance.shape[0], dtype=covariance.dtype))


@jax.custom_jvp
def _inverse_sqrt(s):
    values, vectors = _eigen(s)
    return _product(vectors / jnp.sqrt(values)[None, :], vectors.T)


@_inverse_sqrt.defjvp
def _inverse_sqrt_jvp(primals, tangents):
    values, vectors = _eigen(primals[0])
    root = jnp.sqrt(values)
    # (a^-1/2 - b^-1/2) / (a - b), written so that a = b needs no special case.
    slope = -1.0 / (root[:, None] * root[None, :] * (root[:, None] + root[None, :]))
    inner = _product(vectors.T, tangents[0], vectors)
    return _product(vectors / root[None, :], vectors.T), _product(vectors, slope * inner, vectors.T)


def _product(*matrices):
    return functools.reduce(functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST), matrices)


def _eigen(s):
    values, vectors = jnp.linalg.eigh(s)
    resolution = jnp.finfo(s.dtype).eps * s.shape[0] * values[-1]
    return jnp.maximum(values, jnp.maximum(resolution, jnp.finfo(s.dtype).tiny)), vectors

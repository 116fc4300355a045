"""Spectral clustering of an affinity matrix."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Real

from jaxdc.cluster import _checks
from jaxdc.cluster.kmeans import k_means


class SpectralResult(NamedTuple):
    """Clusters, the embedding that k-means clustered, and the smallest eigenvalues of the Laplacian."""

    labels: Int[Array, " n"]
    embedding: Float[Array, "n k"]
    eigenvalues: Float[Array, " k"]


def spectral_clustering(
    key: jax.Array, affinity: Real[Array, "n n"], n_clusters: int, *, n_init: int = 10
) -> SpectralResult:
    """Cuts a weighted graph into clusters with few, light edges between them.

    The normalised cut of Shi and Malik (2000), as scikit-learn's ``SpectralClustering`` with
    ``affinity="precomputed"`` computes it: the eigenvectors of ``I - D^-1/2 W D^-1/2`` with the
    smallest eigenvalues, divided by ``sqrt(D)``, are clustered by k-means (von Luxburg, 2007,
    section 4, "Normalized spectral clustering according to Shi and Malik"). Self-affinities are ignored.
    A node without edges counts as one of degree 1: it gives no NaN and, as in scikit-learn, no cluster
    of its own.

    The full ``[n, n]`` matrix is decomposed: n^2 memory, n^3 time.

    Args:
      key: a ``jax.random.key``, for k-means.
      affinity: affinity matrix W ``[n, n]``, non-negative and finite, larger for nodes that belong together; its
        symmetric part is used. Computed in float32 (float64 stays).
      n_clusters: number of clusters k, from 1 to n.
      n_init: number of k-means runs.

    Returns:
      ``SpectralResult``: int32 labels ``[n]``, embedding ``[n, k]``, and eigenvalues ``[k]``, in ascending
      order, from 0 to 2.

    Raises:
      ValueError: ``affinity`` is not a square numeric matrix or has a negative value, or
        ``n_clusters`` or ``n_init`` is out of range.

    Example:
      >>> affinity = jnp.array([[0.0, 5.0, 0.1], [5.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
      >>> labels = spectral_clustering(jax.random.key(0), affinity, 2).labels
      >>> print(labels[0] == labels[1], labels[0] == labels[2])
      True False
    """
    affinity = _checks.matrix("affinity", affinity)
    if affinity.shape[0] != affinity.shape[1]:
        raise ValueError(f"affinity must be square, but its shape is {affinity.shape}")
    if not isinstance(affinity, Tracer) and bool(jnp.any(affinity < 0)):
        raise ValueError(f"affinity must not be negative, but its smallest value is {jnp.min(affinity)}")
    _checks.within("n_clusters", n_clusters, 1, affinity.shape[0], "(the number of nodes)")
    embedding, eigenvalues = _spectral_embedding(affinity, n_clusters)
    labels = k_means(key, embedding, n_clusters, n_init=n_init).labels
    return SpectralResult(labels, embedding, eigenvalues)


@functools.partial(jax.jit, static_argnames="n_components")
def _spectral_embedding(affinity, n_components):
    affinity = _checks.wide(affinity)
    affinity = 0.5 * (affinity + affinity.T)
    affinity = jnp.where(jnp.eye(affinity.shape[0], dtype=bool), 0.0, affinity)
    degree = jnp.sum(affinity, axis=1)
    root = jnp.sqrt(jnp.where(degree > 0, degree, 1.0))
    # The largest eigenvalues of the normalised W are 1 minus the smallest of the Laplacian.
    values, vectors = jnp.linalg.eigh(affinity / root[:, None] / root[None, :])
    embedding = vectors[:, : -n_components - 1 : -1] / root[:, None]
    return embedding, 1.0 - values[: -n_components - 1 : -1]

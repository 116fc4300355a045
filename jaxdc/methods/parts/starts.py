"""Where the centroids of a method begin: k-means on the code, or a spectral clustering of some of it."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc import cluster

Start = Literal["k-means", "spectral"]

N_GRAPH = 2000  # samples in the graph: its eigenvectors take their third power in time
N_NEIGHBORS = 10


def first_centroids(
    key: jax.Array, features: Float[Array, "n d"], n_clusters: int, *, start: Start, n_init: int
) -> Float[Array, "k d"]:
    """Centroids ``[k, d]`` of the clusters that a method begins with.

    Args:
      key: a ``jax.random.key``.
      features: code of all samples ``[n, d]``.
      n_clusters: number of clusters k.
      start: ``"k-means"``, or ``"spectral"`` for the means of ``spectral_clusters``.
      n_init: runs of k-means, on the code or on the eigenvectors; the best is kept.
    """
    if start == "k-means":
        return cluster.k_means(key, features, n_clusters, n_init=n_init).centroids
    rows_key, cut_key = jax.random.split(key)
    n = features.shape[0]
    n_graph = min(n, max(N_GRAPH, 10 * n_clusters))
    z = features[jax.random.choice(rows_key, n, (n_graph,), replace=False)]
    members = jax.nn.one_hot(spectral_clusters(cut_key, z, n_clusters, n_init=n_init), n_clusters)
    totals = jnp.matmul(members.T, z, precision=jax.lax.Precision.HIGHEST)
    return totals / jnp.sum(members, axis=0)[:, None]


def spectral_clusters(key: jax.Array, z: Float[Array, "m d"], n_clusters: int, *, n_init: int) -> jax.Array:
    """Labels ``[m]`` by the normalised cut of the graph of the 10 nearest neighbours of each sample.

    Two samples are joined by 1 if each is a neighbour of the other, and by a half if only one is.
    """
    m = z.shape[0]
    found = cluster.nearest_neighbors(z, min(N_NEIGHBORS, m), metric="euclidean").indices
    edges = jnp.zeros((m, m)).at[jnp.arange(m)[:, None], found].set(1.0)
    return cluster.spectral_clustering(key, 0.5 * (edges + edges.T), n_clusters, n_init=n_init).labels

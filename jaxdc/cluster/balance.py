"""Sampling with equal weight for all clusters."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxdc.cluster import _checks


def balanced_order(key: jax.Array, labels: Int[Array, " n"], n_clusters: int) -> Int[Array, " n"]:
    """Draws as many samples as there are, uniformly over the non-empty clusters.

    DeepCluster (Caron et al., 2018, arXiv 1807.05520, section 3.2, "trivial parametrization") trains on such
    epochs, so that a few big clusters do not dominate the loss. Each non-empty cluster gets an equal share
    of the n draws, to within one. A cluster that is large enough contributes distinct samples; samples of a
    smaller one are repeated, each as often as the others to within one (the paper's code draws them with
    replacement).

    Args:
      key: a ``jax.random.key``.
      labels: cluster of each sample ``[n]``, integers from 0 to k - 1.
      n_clusters: number of clusters k; some may be empty.

    Returns:
      int32 rows ``[n]``, shuffled.

    Raises:
      ValueError: ``labels`` is not a vector of integers, or contains a cluster out of range.

    Example:
      >>> labels = jnp.array([0, 0, 0, 0, 0, 2])
      >>> print(jnp.bincount(labels[balanced_order(jax.random.key(0), labels, 3)]))
      [3 0 3]
    """
    _checks.at_least("n_clusters", n_clusters, 1)
    return _balanced_order(key, _checks.labels("labels", labels, n_clusters), n_clusters)


@functools.partial(jax.jit, static_argnames="n_clusters")
def _balanced_order(key, labels, n_clusters):
    n = labels.shape[0]
    within_key, rank_key, order_key = jax.random.split(key, 3)
    # Sorted by cluster, shuffled within each: the draws of a cluster are the first ones of its stretch.
    rows = jnp.lexsort((jax.random.permutation(within_key, n), labels))
    sizes = jnp.bincount(labels, length=n_clusters)
    starts = jnp.cumsum(sizes) - sizes
    some = sizes > 0
    n_some = jnp.maximum(jnp.sum(some), 1)
    # Which clusters get one extra draw is random: the first of the shuffled non-empty ones.
    shuffled = jax.random.permutation(rank_key, n_clusters)
    rank = jnp.zeros(n_clusters, jnp.int32).at[shuffled].set(jnp.cumsum(some[shuffled]) - 1)
    draws = jnp.where(some, n // n_some + (rank < n % n_some), 0)
    ends = jnp.cumsum(draws)
    cluster = jnp.searchsorted(ends, jnp.arange(n), side="right")
    nth = jnp.arange(n) - (ends - draws)[cluster]
    drawn = rows[starts[cluster] + nth % sizes[cluster]]
    return jax.random.permutation(order_key, drawn).astype(jnp.int32)

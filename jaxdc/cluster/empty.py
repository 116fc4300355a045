"""Gives empty clusters half of a big one."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.cluster import _checks


class Reassigned(NamedTuple):
    """Centroids and labels after filling the empty clusters."""

    centroids: Float[Array, "k d"]
    labels: Int[Array, " n"]


def reassign_empty(
    key: jax.Array,
    centroids: Float[Array, "k d"],
    labels: Int[Array, " n"],
    *,
    perturbation: float = 1 / 1024,
) -> Reassigned:
    """Gives each empty cluster a random half of a big cluster's samples.

    DeepCluster (Caron et al., 2018, arXiv 1807.05520, section 3.2, "empty clusters"): the slightly perturbed
    centroid of a non-empty cluster becomes that of the empty one, and they share the samples.
    Here the two centroids move by the same small vector in opposite directions. The paper draws the
    cluster uniformly; here its probability is proportional to the samples that it can spare (its size less one),
    because splitting a cluster of one would leave an empty cluster behind.

    Args:
      key: a ``jax.random.key``.
      centroids: centroids ``[k, d]``, for example from ``k_means``.
      labels: cluster of each sample ``[n]``, integers from 0 to k - 1.
      perturbation: length of the move, relative to the centroid's length (to 1 for a zero centroid).

    Returns:
      ``Reassigned``: centroids ``[k, d]`` and int32 labels ``[n]``. Every cluster has a sample if
      n >= k; otherwise every sample has its own cluster.

    Raises:
      ValueError: ``centroids`` is not a matrix, ``labels`` is not a vector of integers or contains a cluster
        out of range, or ``perturbation`` is negative.

    Example:
      >>> labels = jnp.array([0, 0, 0, 0, 2])
      >>> print(jnp.bincount(reassign_empty(jax.random.key(0), jnp.ones((3, 2)), labels).labels))
      [2 2 1]
    """
    centroids = _checks.matrix("centroids", centroids)
    labels = _checks.labels("labels", labels, centroids.shape[0])
    _checks.at_least("perturbation", perturbation, 0.0)
    return _reassign_empty(key, _checks.wide(centroids), labels, perturbation)


@jax.jit
def _reassign_empty(key, centroids, labels, perturbation):
    n, (n_clusters, d) = labels.shape[0], centroids.shape
    shuffle_key, key = jax.random.split(key)
    # Sorted by cluster, shuffled within each: a cluster is a stretch, and so is half of it.
    order = jnp.lexsort((jax.random.permutation(shuffle_key, n), labels))
    sizes = jnp.bincount(labels, length=n_clusters).astype(jnp.int32)
    starts = jnp.cumsum(sizes) - sizes
    empty_first = jnp.argsort(sizes > 0)

    def fill(i, carry):
        centroids, starts, sizes = carry
        empty = empty_first[i]
        big_key, sign_key = jax.random.split(jax.random.fold_in(key, i))
        spare = jnp.maximum(sizes - 1, 0)
        big = jax.random.categorical(big_key, jnp.log(spare.astype(jnp.float32)))
        # A random half, the larger one for odd sizes, stays.
        moved = sizes[big] // 2
        centroid = centroids[big]
        length = jnp.linalg.norm(centroid)
        step = perturbation * jnp.where(length > 0, length, 1.0) * jax.random.rademacher(sign_key, (d,)) / d**0.5
        new = (
            centroids.at[empty].set(centroid + step).at[big].set(centroid - step),
            starts.at[empty].set(starts[big] + sizes[big] - moved),
            sizes.at[empty].set(moved).at[big].add(-moved),
        )
        return jax.tree.map(lambda a, b: jnp.where(spare[big] > 0, a, b), new, carry)

    n_empty = jnp.sum(sizes == 0)
    centroids, starts, sizes = jax.lax.fori_loop(0, n_empty, fill, (centroids, starts, sizes))
    # A stretch is labelled at its start; every other position takes the last label before it.
    places = jnp.where(sizes > 0, starts, n)
    names = jnp.full(n, -1, jnp.int32).at[places].set(jnp.arange(n_clusters, dtype=jnp.int32), mode="drop")
    first_place = jax.lax.cummax(jnp.where(names >= 0, jnp.arange(n), 0))
    return Reassigned(centroids, jnp.zeros(n, jnp.int32).at[order].set(names[first_place]))

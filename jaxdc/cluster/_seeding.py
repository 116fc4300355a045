"""Initial centroids for k-means: greedy k-means++, distinct samples, or a pass of mini-batches from these."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxdc.cluster import _blocks, _lloyd, layout
from jaxdc.cluster._blocks import PRECISION

MINI_BATCH = 2**14  # samples


def distinct_samples(key, x, n, n_clusters, cut):
    """Draws ``n_clusters`` different rows of the first n of ``x``; all sets are equally likely."""
    del cut
    return x[jax.random.choice(key, n, (n_clusters,), replace=False)]


def mini_batches(key, x, n, n_clusters, cut):
    """Distinct samples, moved by one pass of mini-batch k-means (Sculley, 2010) over the samples in random order.

    The batches are the same on any number of devices. They come to all, which share out the distances.
    """
    start_key, key = jax.random.split(key)
    size = min(MINI_BATCH, n)
    order = jax.random.permutation(key, n)[: n // size * size].reshape(-1, size)
    cut = cut._replace(moves=False) if size % cut.n_shares == 0 else layout.Cut(1)

    def step(carry, rows):
        centroids, counts = carry
        sums, new = _lloyd.sums_of_clusters(_blocks.shares(x[rows], cut), size, centroids)
        total = counts + new
        moved = (centroids * counts[:, None] + sums) / jnp.maximum(total, 1.0)[:, None]
        return (jnp.where(total[:, None] > 0, moved, centroids), total), None

    start = distinct_samples(start_key, x, n, n_clusters, cut)
    (centroids, _), _ = jax.lax.scan(step, (start, jnp.zeros(n_clusters, x.dtype)), order)
    return centroids


def plus_plus(key, x, n, n_clusters, cut):
    """Greedy k-means++: draws a few samples by squared distance and keeps the best of them.

    Takes one pass over ``x [n, d]`` per cluster, and additional memory for a few numbers per sample. Rows from the
    n-th on are not drawn.
    """
    squared_norms = jnp.sum(x**2, axis=1)
    n_trials = 2 + int(math.log(n_clusters))
    groups = _group_shape(n)

    def distances_to(points):  # [t, n]
        cross = jnp.matmul(points, x.T, precision=PRECISION)
        own = jnp.sum(points**2, axis=1)[:, None]
        return jnp.maximum(squared_norms[None] + own - 2.0 * cross, 0.0)

    first_key, key = jax.random.split(key)
    # Gather a single row: a slice at a traced position would bring all rows to all devices.
    first = x[jax.random.randint(first_key, (1,), 0, n)]
    centroids = jnp.zeros((n_clusters, x.shape[1]), x.dtype).at[0].set(first[0])

    def add(i, carry):
        centroids, nearest = carry
        candidates = x[_draw(jax.random.fold_in(key, i), layout.from_rows(nearest, n, cut), groups, n_trials)]
        closer = jnp.minimum(nearest[None], distances_to(candidates))
        best = jnp.argmin(jnp.sum(closer, axis=1))
        return centroids.at[i].set(candidates[best]), closer[best]

    nearest = distances_to(first)[0]
    if x.shape[0] != n:  # the others weigh nothing
        nearest = jnp.where(jnp.arange(x.shape[0]) < n, nearest, 0.0)
    centroids, _ = jax.lax.fori_loop(1, n_clusters, add, (centroids, nearest))
    return centroids


def _group_shape(n):
    """(g, h, w): splits n samples into g equal stretches, each of h groups of at most w samples.

    Any common number of devices that divides n also divides g, so the groups, and the samples drawn,
    are the same however many devices hold the samples.
    """
    g = math.gcd(n, 2**8 * 3 * 5 * 7)
    h = -(-n // (g * 256))
    return g, h, -(-n // (g * h))


def _draw(key, weights, groups, n_draws):
    """Draws indices ``[n_draws]`` with replacement, in proportion to ``weights [n]``.

    Draws a group first, then a sample in it. This avoids a running sum over all samples, which would lose
    digits and take a pass that no device can make alone.
    """
    g, h, w = groups
    stretch = weights.shape[0] // g
    grouped = jnp.pad(weights.reshape(g, stretch), ((0, 0), (0, h * w - stretch))).reshape(g * h, w)
    group_key, sample_key = jax.random.split(key)
    group = _inverse_cdf(jnp.sum(grouped, axis=1)[None, :], jax.random.uniform(group_key, (n_draws,)))
    within = _inverse_cdf(grouped[group], jax.random.uniform(sample_key, (n_draws,)))
    return group // h * stretch + jnp.minimum(group % h * w + within, stretch - 1)


def _inverse_cdf(weights, uniform):
    """For each row, the position where the cumulative sum first exceeds the ``uniform`` share of the total."""
    cumulative = jnp.cumsum(weights, axis=1)
    passed = jnp.sum(cumulative <= uniform[:, None] * cumulative[:, -1:], axis=1)
    return jnp.minimum(passed, weights.shape[1] - 1)

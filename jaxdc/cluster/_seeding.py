"""Where k-means starts: greedy k-means++, or distinct samples."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxdc.cluster._blocks import PRECISION


def distinct_samples(key, x, n_clusters):
    """``n_clusters`` different rows of ``x [n, d]``, each set equally likely."""
    return x[jax.random.choice(key, x.shape[0], (n_clusters,), replace=False)]


def plus_plus(key, x, n_clusters):
    """Greedy k-means++: of a few samples drawn by squared distance, the one that helps most.

    One pass over ``x [n, d]`` a cluster; beside it, memory for a few numbers a sample.
    """
    squared_norms = jnp.sum(x**2, axis=1)
    n_trials = 2 + int(math.log(n_clusters))
    groups = _group_shape(x.shape[0])

    def distances_to(points):  # [t, n]
        cross = jnp.matmul(points, x.T, precision=PRECISION)
        own = jnp.sum(points**2, axis=1)[:, None]
        return jnp.maximum(squared_norms[None] + own - 2.0 * cross, 0.0)

    first_key, key = jax.random.split(key)
    # One row as a gather: as a slice at a position not known, it would bring all rows to all devices.
    first = x[jax.random.randint(first_key, (1,), 0, x.shape[0])]
    centroids = jnp.zeros((n_clusters, x.shape[1]), x.dtype).at[0].set(first[0])

    def add(i, carry):
        centroids, nearest = carry
        candidates = x[_draw(jax.random.fold_in(key, i), nearest, groups, n_trials)]
        closer = jnp.minimum(nearest[None], distances_to(candidates))
        best = jnp.argmin(jnp.sum(closer, axis=1))
        return centroids.at[i].set(candidates[best]), closer[best]

    centroids, _ = jax.lax.fori_loop(1, n_clusters, add, (centroids, distances_to(first)[0]))
    return centroids


def _group_shape(n):
    """(g, h, w): n samples as g equal stretches, each of h groups of at most w samples.

    Any usual number of devices that divides n divides g, so that the groups are the same ones,
    and the same samples are drawn, however many devices hold the samples.
    """
    g = math.gcd(n, 2**8 * 3 * 5 * 7)
    h = -(-n // (g * 256))
    return g, h, -(-n // (g * h))


def _draw(key, weights, groups, n_draws):
    """Indices ``[n_draws]``, with replacement, in proportion to ``weights [n]``.

    First a group, then a sample within it: no running sum over all samples, which would lose
    digits, and cost a pass that no device can make alone.
    """
    g, h, w = groups
    stretch = weights.shape[0] // g
    grouped = jnp.pad(weights.reshape(g, stretch), ((0, 0), (0, h * w - stretch))).reshape(g * h, w)
    group_key, sample_key = jax.random.split(key)
    group = _inverse_cdf(jnp.sum(grouped, axis=1)[None, :], jax.random.uniform(group_key, (n_draws,)))
    within = _inverse_cdf(grouped[group], jax.random.uniform(sample_key, (n_draws,)))
    return group // h * stretch + jnp.minimum(group % h * w + within, stretch - 1)


def _inverse_cdf(weights, uniform):
    """Row by row, the place where the running sum first exceeds its ``uniform`` share of the total."""
    cumulative = jnp.cumsum(weights, axis=1)
    passed = jnp.sum(cumulative <= uniform[:, None] * cumulative[:, -1:], axis=1)
    return jnp.minimum(passed, weights.shape[1] - 1)

"""Passes of k-means over samples ``xs [s, m, d]``, of which the first n are genuine (see ``_blocks``)."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxdc.cluster import _blocks
from jaxdc.cluster._blocks import PRECISION, unit


def nearest(block, centroids, precision: _blocks.Precision = PRECISION):
    """Labels ``[s, c]`` of a block ``[s, c, d]``, and squared distances minus ``|x|^2``."""
    cross = jnp.einsum("kd,scd->ksc", centroids, block, precision=precision)
    scores = jnp.sum(centroids**2, axis=1)[:, None, None] - 2.0 * cross
    # Twice as fast as argmin on a CPU, which vectorises minima but not (value, index) pairs.
    best = jnp.min(scores, axis=0)
    index = jax.lax.broadcasted_iota(jnp.int32, scores.shape, 0)
    last = centroids.shape[0] - 1
    return jnp.min(jnp.where(scores == best[None], index, last), axis=0), best


def add_to_sums(sums, counts, block, labels, weights):
    """Adds a block ``[s, c, d]`` to each share's sums ``[s, k, d]`` and counts ``[s, k]``.

    Each share has its own sum, so that devices communicate once per pass instead of once per block.
    """
    # A GPU scatters in no fixed order, so the last digits of the sums would differ between runs.
    return jax.lax.platform_dependent(
        sums, counts, block, labels, weights, cpu=_scatter_to_sums, default=_multiply_to_sums
    )


def _scatter_to_sums(sums, counts, block, labels, weights):
    def one(sums, counts, block, labels, weights):
        return sums.at[labels].add(block * weights[:, None]), counts.at[labels].add(weights)

    return jax.vmap(one)(sums, counts, block, labels, weights)


def _multiply_to_sums(sums, counts, block, labels, weights):
    index = jnp.arange(sums.shape[1])[None, :, None]
    one_hot = jnp.where(labels[:, None, :] == index, weights[:, None, :], 0.0)
    added = jnp.einsum("skc,scd->skd", one_hot, block, precision=PRECISION)
    return sums + added, counts + jnp.sum(one_hot, axis=2)


def rows_for(xs, centroids):
    """Rows per block, so that its distances and the block itself stay small."""
    n_clusters, d = centroids.shape
    return _blocks.rows_a_block(max(n_clusters, d), xs.shape[0], xs.shape[1])


def mean_variance(xs, n):
    """Mean variance of the features. In blocks, because for all at once the compiler would copy ``xs``."""

    def add(carry, block, _, fresh):
        block = jnp.where(fresh[..., None], block, 0.0)
        return carry[0] + jnp.sum(block, axis=1), carry[1] + jnp.sum(block**2, axis=1)

    n_shares, m, d = xs.shape
    zeros = jnp.zeros((n_shares, d), xs.dtype)
    sums, squares = _blocks.fold(xs, n, _blocks.rows_a_block(d, n_shares, m), add, (zeros, zeros))
    return jnp.mean(jnp.maximum(jnp.sum(squares, axis=0) / n - (jnp.sum(sums, axis=0) / n) ** 2, 0.0))


def sums_of_clusters(xs, n, centroids):
    """Sums ``[k, d]`` and counts ``[k]`` of the samples nearest to each centroid."""
    n_shares, (n_clusters, d) = xs.shape[0], centroids.shape

    def add(carry, block, _, fresh):
        labels, _ = nearest(block, centroids, _blocks.moving_precision())
        weights = jnp.broadcast_to(fresh.astype(block.dtype), labels.shape)
        sums, counts = carry
        return add_to_sums(sums, counts, block, labels, weights)

    zeros = jnp.zeros((n_shares, n_clusters, d), xs.dtype), jnp.zeros((n_shares, n_clusters), xs.dtype)
    sums, counts = _blocks.fold(xs, n, rows_for(xs, centroids), add, zeros)
    return jnp.sum(sums, axis=0), jnp.sum(counts, axis=0)


def lloyd(xs, n, start, n_iterations, threshold, spherical, empty="farthest"):
    """Iterates from ``start [k, d]`` until centroids move at most ``threshold``; also returns the iterations."""
    reseed = functools.partial(_reseed, n=n)

    def step(carry):
        centroids, _, i = carry
        sums, counts = sums_of_clusters(xs, n, centroids)
        means = sums / jnp.maximum(counts, 1.0)[:, None]
        if empty == "keep":
            means = jnp.where(counts[:, None] > 0, means, centroids)
        else:
            means = jax.lax.cond(jnp.any(counts == 0), reseed, lambda m, *_: m, means, xs, centroids)
        if spherical:
            means = unit(means)
        return means, jnp.sum((means - centroids) ** 2), i + 1

    def going_on(carry):
        _, shift, i = carry
        return (i < n_iterations) & (shift > threshold)

    first = (start, jnp.array(jnp.inf, xs.dtype), jnp.array(0, jnp.int32))
    centroids, _, iterations = jax.lax.while_loop(going_on, step, first)
    return centroids, iterations


def labels_and_inertia(xs, n, centroids):
    """Labels ``[s, m]`` and the sum of squared distances."""

    def label(carry, block, start, fresh):
        labels, inertia = carry
        found, _ = nearest(block, centroids)
        # Direct differences: |x|^2 + |c|^2 - 2 x.c would cancel for tight clusters.
        distances = jnp.sum((block - centroids[found]) ** 2, axis=2)
        added = jnp.sum(jnp.where(fresh, distances, 0.0), axis=1)
        return _blocks.write(labels, found, start), inertia + added

    zeros = jnp.zeros(xs.shape[:2], jnp.int32), jnp.zeros(xs.shape[0], xs.dtype)
    labels, inertia = _blocks.fold(xs, n, rows_for(xs, centroids), label, zeros)
    return labels, jnp.sum(inertia)


def _reseed(means, xs, centroids, *, n):
    """Moves each empty cluster to the farthest sample of one with a large sum of squared distances."""
    n_clusters = centroids.shape[0]
    n_shares, m, d = xs.shape

    def largest_of_cluster(values, labels):
        blank = jnp.full((n_clusters,), -1, values.dtype)
        return jax.vmap(lambda v, i: blank.at[i].max(v))(values, labels)

    def compare(carry, block, start, fresh):
        error, sizes, farthest, row = carry
        labels, score = nearest(block, centroids)
        distances = jnp.maximum(score + jnp.sum(block**2, axis=2), 0.0)
        weights = jnp.broadcast_to(fresh.astype(block.dtype), labels.shape)
        error, sizes = add_to_sums(error, sizes, distances[..., None], labels, weights)
        distances = jnp.where(fresh, distances, -1.0)
        largest = largest_of_cluster(distances, labels)
        rows = jnp.int32(start) + jax.lax.broadcasted_iota(jnp.int32, labels.shape, 1)
        is_largest = distances == jnp.take_along_axis(largest, labels, axis=1)
        largest_row = largest_of_cluster(jnp.where(is_largest, rows, -1), labels)
        further = largest > farthest
        return error, sizes, jnp.where(further, largest, farthest), jnp.where(further, largest_row, row)

    zeros = jnp.zeros((n_shares, n_clusters), xs.dtype)
    nobody = zeros[..., None], zeros, zeros - 1.0, jnp.zeros(zeros.shape, jnp.int32)
    error, sizes, farthest, row = _blocks.fold(xs, n, rows_for(xs, centroids), compare, nobody)
    share = jnp.argmax(farthest, axis=0)
    sample = share * m + jnp.take_along_axis(row, share[None, :], axis=0)[0]
    empty = jnp.sum(sizes, axis=0) == 0
    # Empty clusters come last; if there are more of them than other clusters, start over.
    big_first = jnp.argsort(jnp.where(empty, 1.0, -jnp.sum(error, axis=(0, 2))))
    rank = jnp.where(empty, jnp.cumsum(empty) - 1, 0) % jnp.maximum(jnp.sum(~empty), 1)
    return jnp.where(empty[:, None], xs.reshape(-1, d)[sample[big_first[rank]]], means)

"""Lloyd's k-means in one jitted program, its distances in blocks."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real

from jaxdc.cluster import _blocks, _checks, _seeding
from jaxdc.cluster._blocks import PRECISION, origin_of, unit


class KMeansResult(NamedTuple):
    """The best of the ``n_init`` runs."""

    centroids: Float[Array, "k d"]
    labels: Int[Array, " n"]
    inertia: Float[Array, ""]
    n_iterations: Int[Array, ""]


def k_means(
    key: jax.Array,
    x: Real[Array, "n d"],
    n_clusters: int,
    *,
    n_init: int = 1,
    n_iterations: int = 100,
    tolerance: float = 1e-4,
    spherical: bool = False,
    init: str | Float[Array, "k d"] = "k-means++",
) -> KMeansResult:
    """Clusters the rows of a matrix around ``n_clusters`` means.

    Lloyd's algorithm (1982), started by greedy k-means++ (Arthur and Vassilvitskii, 2007, section
    2.2 and the remark on several trials in section 7). All ``n_init`` runs are one compiled
    program, and the run of the lowest inertia is returned. A cluster that loses all its samples
    takes the farthest sample of a big one: of the cluster with the largest sum of squared
    distances. With ``x`` sharded over its rows the work is sharded too, and no device sees
    the samples of another; the clusters are the same up to rounding.

    Memory beside ``x``: one float32 copy of it, and a block of distances. An iteration takes
    ``n k d`` multiplications, the seeding about ``(2 + log k)`` times as many: for many clusters
    ``init="random"`` or given centroids start sooner.

    Args:
      key: a ``jax.random.key``; the same key gives the same clusters.
      x: samples ``[n, d]``, any unit; computed in float32. It must be finite: NaN spreads.
      n_clusters: k, from 1 to n.
      n_init: number of runs from different seeds.
      n_iterations: most Lloyd iterations a run.
      tolerance: a run ends when the centroids' squared shift falls to this share of the mean
        variance of the features, or below.
      spherical: cluster directions: rows and centroids are L2-normalised.
      init: ``"k-means++"``, ``"random"`` for k distinct samples, or the centroids ``[k, d]`` to
        start from.

    Returns:
      ``KMeansResult``: centroids ``[k, d]``, int32 labels ``[n]``, inertia (the sum of squared
      distances to the nearest centroid), and the number of iterations of the run that was kept.

    Raises:
      ValueError: ``x`` is no matrix of numbers, k is not within 1 to n, ``init`` is unknown or of
        another shape, given centroids are to be run more than once, or a number is negative.

    Example:
      >>> x = jnp.array([[0.0], [0.1], [5.0], [5.1]])
      >>> print(round(float(k_means(jax.random.key(0), x, 2).inertia), 4))
      0.01
    """
    x = _checks.matrix("x", x)
    _checks.within("n_clusters", n_clusters, 1, x.shape[0], "samples")
    for name, value in (("n_init", n_init), ("n_iterations", n_iterations)):
        _checks.at_least(name, value, 1)
    _checks.at_least("tolerance", tolerance, 0.0)
    init, start = check_init(init, n_clusters, x.shape[1])
    if init == "given" and n_init != 1:
        raise ValueError(f"n_init must be 1 where init gives the centroids, but is {n_init}")
    n_shares = _blocks.n_shares(x)
    return _k_means(key, x, start, n_iterations, tolerance, n_clusters, n_init, spherical, init, n_shares)


def check_init(init, n_clusters, d):
    """The kind of start, and the centroids: empty where they are not given."""
    if isinstance(init, str):
        if init not in ("k-means++", "random"):
            raise ValueError(f'init must be "k-means++", "random" or centroids, but is {init!r}')
        return init, jnp.zeros((0, d))
    start = jnp.asarray(init)
    if start.shape != (n_clusters, d):
        raise ValueError(f"init must be centroids of shape {(n_clusters, d)}, but its shape is {start.shape}")
    return "given", start


def nearest_centroid(x: Real[Array, "n d"], centroids: Real[Array, "k d"]) -> Int[Array, " n"]:
    """Index of the nearest centroid of every row, by Euclidean distance; the first one of equals.

    Args:
      x: samples ``[n, d]``, in any unit that ``centroids`` shares.
      centroids: ``[k, d]``.

    Returns:
      int32 labels ``[n]``, sharded like the rows of ``x``. ``[n, k]`` is never held at once.

    Raises:
      ValueError: an argument is no matrix of numbers, or the widths differ.

    Example:
      >>> print(nearest_centroid(jnp.array([[0.0], [9.0]]), jnp.array([[1.0], [8.0], [20.0]])))
      [0 1]
    """
    x = _checks.matrix("x", x)
    centroids = _checks.matrix("centroids", centroids, ("x", x.shape[1]))
    return _nearest_centroid(x, centroids, _blocks.n_shares(x))


@functools.partial(jax.jit, static_argnames="n_shares")
def _nearest_centroid(x, centroids, n_shares):
    centroids = centroids.astype(jnp.float32)
    # About the centroids' own mean: |c|^2 - 2 x.c loses its digits to an origin that is far away.
    origin = jnp.mean(centroids, axis=0)
    centroids = centroids - origin[None, :]
    xs = _blocks.shares(x, n_shares)

    def label(labels, block, start, _):
        found, _ = nearest(block.astype(jnp.float32) - origin[None, None, :], centroids)
        return _blocks.write(labels, found, start)

    labels = jnp.zeros(xs.shape[:2], jnp.int32)
    return _blocks.fold(xs, rows_for(xs, centroids), label, labels).reshape(-1)


@functools.partial(jax.jit, static_argnames=("n_clusters", "n_init", "spherical", "init", "n_shares"))
def _k_means(key, x, start, n_iterations, tolerance, n_clusters, n_init, spherical, init, n_shares):
    x = x.astype(jnp.float32)
    if spherical:
        x, origin = unit(x), jnp.zeros(x.shape[1])
    else:
        origin = origin_of(x)
        x = x - origin[None, :]
    threshold = tolerance * jnp.mean(jnp.var(x, axis=0))
    xs = _blocks.shares(x, n_shares)

    def run(best, run_key):
        if init == "given":
            seeds = start.astype(jnp.float32) - origin[None, :]
            seeds = unit(seeds) if spherical else seeds
        else:
            seed = _seeding.plus_plus if init == "k-means++" else _seeding.distinct_samples
            seeds = seed(run_key, x, n_clusters)
        centroids, iterations = _lloyd(xs, seeds, n_iterations, threshold, spherical)
        labels, inertia = _labels_and_inertia(xs, centroids)
        result = KMeansResult(centroids, labels, inertia, iterations)
        return jax.tree.map(lambda new, old: jnp.where(inertia < best.inertia, new, old), result, best), None

    worst = KMeansResult(
        jnp.zeros((n_clusters, x.shape[1])),
        jnp.zeros(xs.shape[:2], jnp.int32),
        jnp.array(jnp.inf, jnp.float32),
        jnp.array(0, jnp.int32),
    )
    best, _ = jax.lax.scan(run, worst, jax.random.split(key, n_init))
    return best._replace(centroids=best.centroids + origin[None, :], labels=best.labels.reshape(-1))


def nearest(block, centroids):
    """Labels ``[s, c]`` of a block ``[s, c, d]`` and their squared distances less ``|x|^2``."""
    cross = jnp.einsum("kd,scd->ksc", centroids, block, precision=PRECISION)
    scores = jnp.sum(centroids**2, axis=1)[:, None, None] - 2.0 * cross
    # Twice as fast as argmin on a CPU: minima are vectorised, pairs of value and index are not.
    best = jnp.min(scores, axis=0)
    index = jax.lax.broadcasted_iota(jnp.int32, scores.shape, 0)
    last = centroids.shape[0] - 1
    return jnp.min(jnp.where(scores == best[None], index, last), axis=0), best


def add_to_sums(sums, counts, block, labels, weights):
    """Adds a block ``[s, c, d]`` to each share's sums ``[s, k, d]`` and counts ``[s, k]``.

    A sum for each share, so that devices meet once a pass and not once a block.
    """

    def scattered(sums, counts, block, labels, weights):
        def one(sums, counts, block, labels, weights):
            return sums.at[labels].add(block * weights[:, None]), counts.at[labels].add(weights)

        return jax.vmap(one)(sums, counts, block, labels, weights)

    def multiplied(sums, counts, block, labels, weights):
        index = jnp.arange(sums.shape[1])[None, :, None]
        one_hot = jnp.where(labels[:, None, :] == index, weights[:, None, :], 0.0)
        added = jnp.einsum("skc,scd->skd", one_hot, block, precision=PRECISION)
        return sums + added, counts + jnp.sum(one_hot, axis=2)

    # A GPU scatters in an order of its own: sums would differ from run to run in their last digits.
    return jax.lax.platform_dependent(sums, counts, block, labels, weights, cpu=scattered, default=multiplied)


def rows_for(xs, centroids):
    """Rows of a block, so that its distances and the block itself stay small."""
    n_clusters, d = centroids.shape
    return _blocks.rows_a_block(max(n_clusters, d), xs.shape[0], xs.shape[1])


def _lloyd(xs, start, n_iterations, threshold, spherical):
    n_clusters, d = start.shape
    n_shares = xs.shape[0]

    def step(carry):
        centroids, _, i = carry

        def add(carry, block, _, fresh):
            sums, counts = carry
            labels, _ = nearest(block, centroids)
            weights = jnp.broadcast_to(fresh.astype(block.dtype), labels.shape)
            return add_to_sums(sums, counts, block, labels, weights)

        zeros = jnp.zeros((n_shares, n_clusters, d)), jnp.zeros((n_shares, n_clusters))
        sums, counts = _blocks.fold(xs, rows_for(xs, start), add, zeros)
        counts = jnp.sum(counts, axis=0)
        means = jnp.sum(sums, axis=0) / jnp.maximum(counts, 1.0)[:, None]
        means = jax.lax.cond(jnp.any(counts == 0), _reseed, lambda m, *_: m, means, xs, centroids)
        if spherical:
            means = unit(means)
        return means, jnp.sum((means - centroids) ** 2), i + 1

    def going_on(carry):
        _, shift, i = carry
        return (i < n_iterations) & (shift > threshold)

    first = (start, jnp.array(jnp.inf, xs.dtype), jnp.array(0, jnp.int32))
    centroids, _, iterations = jax.lax.while_loop(going_on, step, first)
    return centroids, iterations


def _labels_and_inertia(xs, centroids):
    def label(carry, block, start, fresh):
        labels, inertia = carry
        found, _ = nearest(block, centroids)
        # The differences themselves: |x|^2 + |c|^2 - 2 x.c would cancel where clusters are tight.
        distances = jnp.sum((block - centroids[found]) ** 2, axis=2)
        added = jnp.sum(jnp.where(fresh[None, :], distances, 0.0), axis=1)
        return _blocks.write(labels, found, start), inertia + added

    zeros = jnp.zeros(xs.shape[:2], jnp.int32), jnp.zeros(xs.shape[0])
    labels, inertia = _blocks.fold(xs, rows_for(xs, centroids), label, zeros)
    return labels, jnp.sum(inertia)


def _reseed(means, xs, centroids):
    """Each empty cluster moves to the farthest sample of one with a large sum of squared distances."""
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
        largest = largest_of_cluster(distances, labels)
        rows = start + jax.lax.broadcasted_iota(jnp.int32, labels.shape, 1)
        is_largest = distances == jnp.take_along_axis(largest, labels, axis=1)
        largest_row = largest_of_cluster(jnp.where(is_largest, rows, -1), labels)
        further = largest > farthest
        return error, sizes, jnp.where(further, largest, farthest), jnp.where(further, largest_row, row)

    zeros = jnp.zeros((n_shares, n_clusters))
    nobody = zeros[..., None], zeros, zeros - 1.0, jnp.zeros(zeros.shape, jnp.int32)
    error, sizes, farthest, row = _blocks.fold(xs, rows_for(xs, centroids), compare, nobody)
    share = jnp.argmax(farthest, axis=0)
    sample = share * m + jnp.take_along_axis(row, share[None, :], axis=0)[0]
    empty = jnp.sum(sizes, axis=0) == 0
    # Clusters without samples come last; more empty ones than others go round again.
    big_first = jnp.argsort(jnp.where(empty, 1.0, -jnp.sum(error, axis=(0, 2))))
    rank = jnp.where(empty, jnp.cumsum(empty) - 1, 0) % jnp.maximum(jnp.sum(~empty), 1)
    return jnp.where(empty[:, None], xs.reshape(-1, d)[sample[big_first[rank]]], means)

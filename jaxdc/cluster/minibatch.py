"""Mini-batch k-means, for samples that do not fit in memory."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from jaxdc.cluster import _blocks, _checks, layout
from jaxdc.cluster._lloyd import add_to_sums, nearest, rows_for
from jaxdc.cluster.kmeans import check_init, k_means

# Small clusters are checked once this many samples per cluster have come since the last check.
_SAMPLES_BETWEEN_CHECKS = 10


class MiniBatchResult(NamedTuple):
    """Centroids, the number of samples each has taken so far, and the inertia.

    ``inertia`` is the mean squared distance of the samples in the batch, or in the last pass, to the
    centroids at the time each sample came.
    """

    centroids: Float[Array, "k d"]
    counts: Float[Array, " k"]
    inertia: Float[Array, ""]


def mini_batch_k_means(
    key: jax.Array,
    batches: Iterable[Real[Array | np.ndarray, "b d"]] | Callable[[], Iterable[Real[Array | np.ndarray, "b d"]]],
    n_clusters: int,
    *,
    n_epochs: int = 1,
    init: str | Float[Array | np.ndarray, "k d"] = "k-means++",
    init_size: int | None = None,
    reassignment_ratio: float = 0.01,
    spherical: bool = False,
) -> MiniBatchResult:
    """Clusters samples that come in batches, each held only while it is used.

    Sculley (2010), "Web-scale k-means clustering", algorithm 1, with all samples of a batch at once:
    every centroid is the running mean of the samples it has taken. It is initialised with ten iterations of
    ``k_means`` on the first samples, so these should be representative: shuffle the data. From time to time,
    clusters with a very small count move to random samples of the batch. ``nearest_centroid`` then gives the
    labels, batch by batch.

    Args:
      key: a ``jax.random.key``.
      batches: matrices ``[b, d]`` (NumPy or JAX, for example sharded over their rows), as a list or as a
        function that returns an iterator for one pass. A plain iterator allows a single pass. Batches of
        equal size, except the last, compile once.
      n_clusters: k, up to the number of samples.
      n_epochs: passes over the batches.
      init: ``"k-means++"``, ``"random"``, or initial centroids ``[k, d]``.
      init_size: number of samples for the initialisation, at least k (default: ``10 k``, or the first batch if
        that is more, or all if there are fewer).
      reassignment_ratio: move clusters with less than this share of the largest count; 0 disables it.
      spherical: cluster directions: rows and centroids are L2-normalised.

    Returns:
      ``MiniBatchResult``: centroids ``[k, d]``, counts ``[k]``, and the mean squared distance over
      the last pass.

    Raises:
      ValueError: there are fewer than k samples, a batch is not a matrix or has another width, a plain
        iterator is given for several passes, ``init`` is unknown or has a wrong shape, or a number
        is out of range.

    Example:
      >>> batches = [jnp.array([[0.0], [9.0], [1.0], [8.0]])] * 5
      >>> result = mini_batch_k_means(jax.random.key(0), batches, 2)
      >>> print(jnp.sort(result.centroids[:, 0]))
      [0.5 8.5]
    """
    _checks.at_least("n_clusters", n_clusters, 1)
    _checks.at_least("n_epochs", n_epochs, 1)
    _checks.at_least("reassignment_ratio", reassignment_ratio, 0.0)
    if init_size is not None:
        _checks.at_least("init_size", init_size, n_clusters)
    if isinstance(batches, Iterator) and n_epochs > 1:
        raise ValueError(
            "batches must be a list or a function for more than one epoch: an iterator allows only one pass"
        )
    start_key, key = jax.random.split(key)
    begin = batches if callable(batches) else lambda: batches

    stream = iter(begin())
    first = list(itertools.islice(stream, 1))
    if not first:
        raise ValueError("batches is empty")
    first = [_checks.matrix("batches", first[0])]
    size, d = first[0].shape
    if isinstance(init, str):
        wanted = max(10 * n_clusters, size) if init_size is None else init_size
        while sum(map(len, first)) < wanted and (batch := next(stream, None)) is not None:
            first.append(_checks.matrix("batches", batch, ("the first batch", d)))
        sample = jnp.concatenate(first) if len(first) > 1 else first[0]
        if len(sample) < n_clusters:
            raise ValueError(f"n_clusters must be at most the {len(sample)} samples, but is {n_clusters}")
        options = {"n_iterations": 10, "init": init, "spherical": spherical}
        centroids = k_means(start_key, sample[:wanted], n_clusters, **options).centroids
    else:
        centroids = check_init(init, n_clusters, d)[1].astype(jnp.float32)
        centroids = _blocks.unit(centroids) if spherical else centroids

    counts = jnp.zeros(n_clusters, jnp.float32)
    total, n_samples, step, n_waiting = jnp.zeros((), jnp.float32), 0, 0, 0
    for epoch in range(n_epochs):
        total, n_samples = jnp.zeros((), jnp.float32), 0
        for batch in itertools.chain(first, stream) if epoch == 0 else begin():
            x = _checks.matrix("batches", batch, ("the first batch", d))
            n_valid = len(x)
            n_samples, n_waiting = n_samples + n_valid, n_waiting + n_valid
            if n_valid < size:
                x = jnp.pad(x, ((0, size - n_valid), (0, 0)))
            check = n_waiting >= _SAMPLES_BETWEEN_CHECKS * n_clusters
            n_waiting = 0 if check else n_waiting
            state = _update(centroids, counts, x, n_valid, spherical, layout.cut_of(x))
            centroids, counts, total = state.centroids, state.counts, total + state.inertia * n_valid
            if check and reassignment_ratio > 0:
                step_key = jax.random.fold_in(key, step)
                centroids, counts = _move_small(
                    step_key, centroids, counts, x, n_valid, reassignment_ratio, spherical
                )
            step += 1
        first = ()
        if not n_samples:
            raise ValueError(f"batches is empty in pass {epoch + 1}")
    return MiniBatchResult(centroids, counts, total / n_samples)


def mini_batch_update(
    centroids: Float[Array, "k d"],
    counts: Real[Array, " k"],
    x: Real[Array, "b d"],
    *,
    spherical: bool = False,
) -> MiniBatchResult:
    """One step of mini-batch k-means, for custom loops.

    Each centroid moves to the mean of all samples it has ever taken: those counted in ``counts`` and the
    rows of ``x`` nearest to it (Sculley, 2010, algorithm 1).

    Args:
      centroids: current centroids ``[k, d]``.
      counts: number of samples behind each centroid ``[k]``; zeros at the start.
      x: a batch ``[b, d]``; computed in float32.
      spherical: cluster directions: rows and centroids are L2-normalised.

    Returns:
      ``MiniBatchResult``: the new centroids and counts, and the batch's mean squared distance to the
      old centroids.

    Raises:
      ValueError: an argument is not a matrix, the widths differ, or ``counts`` does not have k values.

    Example:
      >>> state = mini_batch_update(jnp.array([[0.0], [9.0]]), jnp.array([1, 0]), jnp.array([[1.0], [7.0]]))
      >>> print(state.centroids[:, 0], state.counts)
      [0.5 7. ] [2. 1.]
    """
    x = _checks.matrix("x", x)
    centroids = _checks.matrix("centroids", centroids, ("x", x.shape[1]))
    counts = jnp.asarray(counts)
    if counts.shape != centroids.shape[:1]:
        raise ValueError(f"counts must have {centroids.shape[0]} values, but its shape is {counts.shape}")
    return _update(centroids, counts, x, x.shape[0], spherical, layout.cut_of(x))


@functools.partial(jax.jit, static_argnames=("spherical", "cut"))
def _update(centroids, counts, x, n_valid, spherical, cut):
    centroids, counts, x = (a.astype(jnp.float32) for a in (centroids, counts, x))
    n_clusters, d = centroids.shape
    origin = jnp.zeros(d, x.dtype) if spherical else jnp.mean(centroids, axis=0)
    centroids = centroids - origin[None, :]
    x = _blocks.unit(x) if spherical else x - origin[None, :]
    xs = _blocks.shares(x, cut)
    valid = (jnp.arange(xs.shape[0] * xs.shape[1]) < n_valid).reshape(xs.shape[:2])

    def add(carry, block, start, fresh):
        sums, new, inertia = carry
        labels, score = nearest(block, centroids, _blocks.moving_precision())
        weights = jax.lax.dynamic_slice_in_dim(valid, start, block.shape[1], axis=1) & fresh
        weights = weights.astype(block.dtype)
        distances = jnp.maximum(score + jnp.sum(block**2, axis=2), 0.0)
        inertia = inertia + jnp.sum(distances * weights, axis=1)
        return *add_to_sums(sums, new, block, labels, weights), inertia

    shape = (cut.n_shares, n_clusters)
    zeros = tuple(jnp.zeros(s, x.dtype) for s in ((*shape, d), shape, cut.n_shares))
    sums, new, inertia = _blocks.fold(xs, x.shape[0], rows_for(xs, centroids), add, zeros)
    total = counts + jnp.sum(new, axis=0)
    means = (centroids * counts[:, None] + jnp.sum(sums, axis=0)) / jnp.maximum(total, 1e-9)[:, None]
    means = jnp.where(total[:, None] > 0, means, centroids) + origin[None, :]
    return MiniBatchResult(_blocks.unit(means) if spherical else means, total, jnp.sum(inertia) / n_valid)


@functools.partial(jax.jit, static_argnames="spherical")
def _move_small(key, centroids, counts, x, n_valid, ratio, spherical):
    """Moves clusters with few samples to distinct rows of the batch, at most half as many as it has."""
    small = counts < ratio * jnp.max(counts)
    rank = jnp.argsort(jnp.argsort(counts))
    small &= rank < n_valid // 2
    draws = jnp.where(jnp.arange(len(x)) < n_valid, jax.random.uniform(key, (len(x),)), jnp.inf)
    rows = x[jnp.argsort(draws)[jnp.minimum(rank, len(x) - 1)]].astype(jnp.float32)
    rows = _blocks.unit(rows) if spherical else rows
    # With the smallest count of the others, they are neither moved again at once nor stuck.
    lowest = jnp.min(jnp.where(small, jnp.inf, counts))
    return jnp.where(small[:, None], rows, centroids), jnp.where(small, lowest, counts)

"""Lloyd's k-means as one jitted program, with distances computed in blocks."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real

from jaxdc.cluster import _blocks, _checks, _lloyd, _seeding, layout
from jaxdc.cluster._blocks import origin_of, unit

_SEEDS = {
    "k-means++": _seeding.plus_plus,
    "random": _seeding.distinct_samples,
    "mini-batch": _seeding.mini_batches,
}


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
    empty: Literal["farthest", "keep"] = "farthest",
) -> KMeansResult:
    """Clusters the rows of a matrix around ``n_clusters`` means.

    Lloyd's algorithm (1982), initialised with greedy k-means++ (Arthur and Vassilvitskii, 2007, section
    2.2 and the remark on several trials in section 7). All ``n_init`` runs are one compiled
    program, which returns the run with the lowest inertia. A cluster that loses all its samples
    takes the farthest sample of a big one, the cluster with the largest sum of squared distances,
    unless ``empty`` says otherwise. If ``x`` is sharded over its rows, so is the work, and no device
    sees the samples of another; the clusters are the same up to rounding.

    Memory in addition to ``x``: one float32 copy of it, and a block of distances. An iteration takes
    ``n k d`` multiplications, the seeding about ``(2 + log k)`` times as many: with many clusters,
    ``init="random"``, ``"mini-batch"`` or given centroids start faster. On a GPU or TPU that multiplies bfloat16,
    the distances within an iteration take three such products in place of one of float32; the labels and the
    inertia are computed in float32.

    Args:
      key: a ``jax.random.key``; the same key gives the same clusters.
      x: samples ``[n, d]``, in any unit; computed in float32. They must be finite: NaN spreads.
      n_clusters: number of clusters k, from 1 to n.
      n_init: number of runs from different seeds; a later run must lower the inertia by a share of 1e-5 to win.
      n_iterations: maximum number of Lloyd iterations per run.
      tolerance: a run ends when the squared shift of the centroids is at most this share of the mean
        variance of the features.
      spherical: cluster directions: rows and centroids are L2-normalised.
      init: ``"k-means++"``, ``"random"`` for k distinct samples, ``"mini-batch"`` for these after one pass of
        mini-batches of 16,384 samples, which takes as long as an iteration, or initial centroids ``[k, d]``.
      empty: ``"farthest"`` moves an empty cluster to a sample; ``"keep"`` leaves it empty and its centroid
        in place, for example for ``reassign_empty``.

    Returns:
      ``KMeansResult``: centroids ``[k, d]``, int32 labels ``[n]``, inertia (the sum of squared
      distances to the nearest centroid), and the number of iterations of the run that was kept.

    Raises:
      ValueError: ``x`` is not a numeric matrix, k is not from 1 to n, ``empty`` or ``init`` is unknown or
        ``init`` has a wrong shape, ``n_init`` is not 1 with given centroids, or a number is negative.

    Example:
      >>> x = jnp.array([[0.0], [0.1], [5.0], [5.1]])
      >>> print(round(float(k_means(jax.random.key(0), x, 2).inertia), 4))
      0.01
    """
    x = _checks.matrix("x", x)
    _checks.within("n_clusters", n_clusters, 1, x.shape[0], "(the number of samples)")
    for name, value in (("n_init", n_init), ("n_iterations", n_iterations)):
        _checks.at_least(name, value, 1)
    _checks.at_least("tolerance", tolerance, 0.0)
    init, start = check_init(init, n_clusters, x.shape[1])
    if init == "given" and n_init != 1:
        raise ValueError(f"n_init must be 1 if init gives the centroids, but is {n_init}")
    if empty not in ("farthest", "keep"):
        raise ValueError(f'empty must be "farthest" or "keep", but is {empty!r}')
    cut = layout.cut_of(x)
    return _k_means(key, x, start, n_iterations, tolerance, n_clusters, n_init, spherical, init, empty, cut)


def check_init(init, n_clusters, d):
    """The kind of initialisation, and the given centroids (empty if there are none)."""
    if isinstance(init, str):
        if init not in _SEEDS:
            kinds = ", ".join(f'"{kind}"' for kind in _SEEDS)
            raise ValueError(f"init must be {kinds} or centroids, but is {init!r}")
        return init, jnp.zeros((0, d))
    start = jnp.asarray(init)
    if start.shape != (n_clusters, d):
        raise ValueError(f"init must be centroids of shape {(n_clusters, d)}, but its shape is {start.shape}")
    return "given", start


def nearest_centroid(x: Real[Array, "n d"], centroids: Real[Array, "k d"]) -> Int[Array, " n"]:
    """Index of the nearest centroid of each row, by Euclidean distance; the first one on ties.

    Args:
      x: samples ``[n, d]``, in the unit of ``centroids``.
      centroids: centroids ``[k, d]``.

    Returns:
      int32 labels ``[n]``, sharded like the rows of ``x``. The full ``[n, k]`` is never in memory.

    Raises:
      ValueError: an argument is not a numeric matrix, or the widths differ.

    Example:
      >>> print(nearest_centroid(jnp.array([[0.0], [9.0]]), jnp.array([[1.0], [8.0], [20.0]])))
      [0 1]
    """
    x = _checks.matrix("x", x)
    centroids = _checks.matrix("centroids", centroids, ("x", x.shape[1]))
    return _nearest_centroid(x, centroids, layout.cut_of(x))


@functools.partial(jax.jit, static_argnames="cut")
def _nearest_centroid(x, centroids, cut):
    centroids = centroids.astype(jnp.float32)
    # Relative to the centroids' mean: |c|^2 - 2 x.c loses digits if the origin is far away.
    origin = jnp.mean(centroids, axis=0)
    centroids = centroids - origin[None, :]
    xs = _blocks.shares(x, cut)

    def label(labels, block, start, _):
        found, _ = _lloyd.nearest(block.astype(jnp.float32) - origin[None, None, :], centroids)
        return _blocks.write(labels, found, start)

    labels = jnp.zeros(xs.shape[:2], jnp.int32)
    labels = _blocks.fold(xs, len(x), _lloyd.rows_for(xs, centroids), label, labels)
    return layout.from_rows(labels.reshape(-1), len(x), cut)


@functools.partial(jax.jit, static_argnames=("n_clusters", "n_init", "spherical", "init", "empty", "cut"))
def _k_means(key, x, start, n_iterations, tolerance, n_clusters, n_init, spherical, init, empty, cut):
    n, x = x.shape[0], x.astype(jnp.float32)
    origin = jnp.zeros(x.shape[1], x.dtype) if spherical else origin_of(x)
    xs = _blocks.shares(x, cut, unit if spherical else lambda rows: rows - origin[None, :])
    xs = jax.lax.optimization_barrier(xs)  # or else the compiler keeps them in two shapes, each with a copy
    threshold = tolerance * _lloyd.mean_variance(xs, n)

    def run(best, run_key):
        if init == "given":
            seeds = start.astype(jnp.float32) - origin[None, :]
            seeds = unit(seeds) if spherical else seeds
        else:
            seeds = _SEEDS[init](run_key, xs.reshape(-1, x.shape[1]), n, n_clusters, cut)
            if spherical and init == "mini-batch":
                seeds = unit(seeds)
        centroids, iterations = _lloyd.lloyd(xs, n, seeds, n_iterations, threshold, spherical, empty)
        labels, inertia = _lloyd.labels_and_inertia(xs, n, centroids)
        result = KMeansResult(centroids, labels, inertia, iterations)
        better = inertia < best.inertia * (1 - _blocks.TIE)
        return jax.tree.map(lambda new, old: jnp.where(better, new, old), result, best), None

    worst = KMeansResult(
        jnp.zeros((n_clusters, x.shape[1]), x.dtype),
        jnp.zeros(xs.shape[:2], jnp.int32),
        jnp.array(jnp.inf, jnp.float32),
        jnp.array(0, jnp.int32),
    )
    best, _ = jax.lax.scan(run, worst, jax.random.split(key, n_init))
    labels = layout.from_rows(best.labels.reshape(-1), n, cut)
    return best._replace(centroids=best.centroids + origin[None, :], labels=labels)

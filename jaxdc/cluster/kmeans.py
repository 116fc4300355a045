"""Lloyd's k-means with greedy k-means++ seeding, in one jitted program."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Distances decide ties between centroids: reduced-precision matrix units would decide them by noise.
_PRECISION = jax.lax.Precision.HIGHEST


class KMeansResult(NamedTuple):
    """The best of the ``n_init`` runs."""

    centroids: Float[Array, "k d"]
    labels: Int[Array, " n"]
    inertia: Float[Array, ""]
    n_iterations: Int[Array, ""]


def k_means(
    key: jax.Array,
    x: Float[Array, "n d"],
    n_clusters: int,
    *,
    n_init: int = 1,
    n_iterations: int = 100,
    tolerance: float = 1e-4,
    spherical: bool = False,
    init: str = "k-means++",
) -> KMeansResult:
    """Clusters the rows of a matrix around ``n_clusters`` means.

    Lloyd's algorithm, started by greedy k-means++ (Arthur and Vassilvitskii, 2007). All ``n_init``
    runs are one compiled program, and the run of the lowest inertia is returned. A cluster that
    loses all its samples is re-seeded at a sample that is far from its own centroid. With ``x``
    sharded over its rows, the work is sharded too.

    Args:
      key: a ``jax.random.key``; the same key gives the same clusters.
      x: samples ``[n, d]``; computed in float32.
      n_clusters: k, from 1 to n.
      n_init: number of runs from different seeds.
      n_iterations: most Lloyd iterations a run.
      tolerance: a run ends when the centroids' squared shift falls below this share of the mean
        variance of the features.
      spherical: cluster directions: rows and centroids are L2-normalised.
      init: ``"k-means++"``, or ``"random"`` for k distinct samples.

    Returns:
      ``KMeansResult``: centroids ``[k, d]``, int32 labels ``[n]``, inertia (the sum of squared
      distances to the nearest centroid), and the number of iterations of the run that was kept.

    Raises:
      ValueError: ``x`` is no matrix, k is not within 1 to n, or ``init`` is unknown.

    Example:
      >>> x = jnp.array([[0.0], [0.1], [5.0], [5.1]])
      >>> print(round(float(k_means(jax.random.key(0), x, 2).inertia), 4))
      0.01
    """
    x = jnp.asarray(x)
    if x.ndim != 2:
        raise ValueError(f"x must be a matrix [n, d], but its shape is {x.shape}")
    if not 1 <= n_clusters <= x.shape[0]:
        raise ValueError(f"n_clusters must be within 1 and {x.shape[0]} samples, but is {n_clusters}")
    if n_init < 1 or n_iterations < 1:
        raise ValueError(f"n_init ({n_init}) and n_iterations ({n_iterations}) must be at least 1")
    if init not in ("k-means++", "random"):
        raise ValueError(f'init must be "k-means++" or "random", but is {init!r}')
    return _k_means(key, x, n_clusters, n_init, n_iterations, tolerance, spherical, init)


def nearest_centroid(x: Float[Array, "n d"], centroids: Float[Array, "k d"]) -> Int[Array, " n"]:
    """Index (int32) of the nearest centroid of every row, by Euclidean distance."""
    # About the centroids' own mean: |c|^2 - 2 x.c loses its digits to an origin that is far away.
    origin = jnp.mean(centroids, axis=0, keepdims=True)
    return jnp.argmin(_scores(x - origin, centroids - origin), axis=1).astype(jnp.int32)


def _scores(x, centroids):
    """Squared distances less |x|^2, which no comparison between centroids needs: [n, k]."""
    return jnp.sum(centroids**2, axis=1)[None, :] - 2.0 * jnp.matmul(x, centroids.T, precision=_PRECISION)


def _unit(x):
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@functools.partial(
    jax.jit, static_argnames=("n_clusters", "n_init", "n_iterations", "tolerance", "spherical", "init")
)
def _k_means(key, x, n_clusters, n_init, n_iterations, tolerance, spherical, init):
    x = x.astype(jnp.float32)
    if spherical:
        x, mean = _unit(x), jnp.zeros_like(x[0])
    else:
        mean = jnp.mean(x, axis=0)  # centred, |c|^2 - 2 x.c loses no digits to a far-away origin
        x = x - mean[None, :]
    squared_norms = jnp.sum(x**2, axis=1)
    threshold = tolerance * jnp.mean(jnp.var(x, axis=0))
    seed = _plus_plus if init == "k-means++" else _distinct_samples

    def run(run_key):
        start = seed(run_key, x, squared_norms, n_clusters)
        centroids, iterations = _lloyd(x, start, n_iterations, threshold, spherical)
        inertia = jnp.sum(jnp.maximum(jnp.min(_scores(x, centroids), axis=1) + squared_norms, 0.0))
        return centroids, inertia, iterations

    all_centroids, all_inertia, all_iterations = jax.lax.map(run, jax.random.split(key, n_init))
    best = jnp.argmin(all_inertia)
    centroids = all_centroids[best]
    labels = nearest_centroid(x, centroids)
    inertia = jnp.sum((x - centroids[labels]) ** 2)
    return KMeansResult(centroids + mean[None, :], labels, inertia, all_iterations[best])


def _lloyd(x, start, n_iterations, threshold, spherical):
    n_clusters = start.shape[0]

    def step(carry):
        centroids, _, i = carry
        scores = _scores(x, centroids)
        one_hot = jax.nn.one_hot(jnp.argmin(scores, axis=1), n_clusters, dtype=x.dtype)
        counts = jnp.sum(one_hot, axis=0)
        sums = jnp.matmul(one_hot.T, x, precision=_PRECISION)
        means = sums / jnp.maximum(counts, 1.0)[:, None]
        means = jax.lax.cond(jnp.any(counts == 0), _reseed, lambda m, *_: m, means, counts, x, scores)
        if spherical:
            means = _unit(means)
        return means, jnp.sum((means - centroids) ** 2), i + 1

    def going_on(carry):
        _, shift, i = carry
        return (i < n_iterations) & (shift > threshold)

    first = (start, jnp.array(jnp.inf, x.dtype), jnp.array(0, jnp.int32))
    centroids, _, iterations = jax.lax.while_loop(going_on, step, first)
    return centroids, iterations


def _reseed(means, counts, x, scores):
    """The e-th empty cluster moves to the sample with the e-th largest distance to its centroid."""
    distances = jnp.min(scores, axis=1) + jnp.sum(x**2, axis=1)
    _, farthest = jax.lax.top_k(distances, means.shape[0])
    empty = counts == 0
    rank = jnp.cumsum(empty) - 1
    return jnp.where(empty[:, None], x[farthest[rank]], means)


def _distinct_samples(key, x, squared_norms, n_clusters):
    del squared_norms
    return x[jax.random.choice(key, x.shape[0], (n_clusters,), replace=False)]


def _plus_plus(key, x, squared_norms, n_clusters):
    """Greedy k-means++: of a few samples drawn by squared distance, the one that helps most."""
    n = x.shape[0]
    n_trials = 2 + int(math.log(n_clusters))

    def distances_to(points):  # [t, n]
        cross = jnp.matmul(points, x.T, precision=_PRECISION)
        return jnp.maximum(squared_norms[None, :] + jnp.sum(points**2, axis=1)[:, None] - 2.0 * cross, 0.0)

    first_key, key = jax.random.split(key)
    first = x[jax.random.randint(first_key, (), 0, n)]
    centroids = jnp.zeros((n_clusters, x.shape[1]), x.dtype).at[0].set(first)

    def add(i, carry):
        centroids, nearest = carry
        cumulative = jnp.cumsum(nearest)
        draws = jax.random.uniform(jax.random.fold_in(key, i), (n_trials,)) * cumulative[-1]
        candidates = jnp.clip(jnp.searchsorted(cumulative, draws, side="right"), 0, n - 1)
        closer = jnp.minimum(nearest[None, :], distances_to(x[candidates]))
        best = jnp.argmin(jnp.sum(closer, axis=1))
        return centroids.at[i].set(x[candidates[best]]), closer[best]

    centroids, _ = jax.lax.fori_loop(1, n_clusters, add, (centroids, distances_to(first[None])[0]))
    return centroids

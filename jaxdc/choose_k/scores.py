"""Label-free scores of numbers of clusters, and a recommendation.

Each score is taken on halves of the data that share no sample: how far two halves differ tells how little a
difference between two numbers means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from sklearn import metrics
from sklearn.cluster import KMeans

from jaxdc.errors import InputError
from jaxdc.settings import seed_of

LARGEST_HALF = 2000  # samples; the distances of a half are held in memory


class KScores(NamedTuple):
    """Scores of k-means with each number of clusters.

    Attributes:
      ks: numbers of clusters ``[m]``.
      silhouette: silhouette of each half ``[2 r, m]``: how much nearer samples are to their own cluster than to
        the next (Rousseeuw, 1987).
      davies_bouldin: Davies-Bouldin index of each half ``[2 r, m]``: how wide clusters are for their distance;
        lower is better (Davies and Bouldin, 1979).
      stability: stability of each division ``[r, m]``: ARI, on one half, of its own clusters and those that the
        other half's centroids give (as Lange et al., 2004, with ARI).
    """

    ks: np.ndarray
    silhouette: np.ndarray
    davies_bouldin: np.ndarray
    stability: np.ndarray


class Choice(NamedTuple):
    """A recommended number of clusters.

    Attributes:
      k: the number.
      as_good: every number that is not told from it, in order, k among them.
    """

    k: int
    as_good: tuple[int, ...]


def k_scores(
    z: np.ndarray,
    ks: Sequence[int],
    *,
    n_divisions: int = 5,
    seed: int = 0,
    advance: Callable[[int], None] = lambda n: None,
) -> KScores:
    """Clusters halves of the samples into each number of clusters, and scores the result.

    Args:
      z: features ``[n, d]``.
      ks: numbers of clusters ``[m]``, each at least 2.
      n_divisions: how often the samples are divided into halves, of at most 2,000 samples each.
      seed: random seed of the divisions and of k-means.
      advance: told of each division that is done with a number, ``n_divisions * m`` in all.

    Raises:
      InputError: a number is below 2 or not below the size of a half.
    """
    seed = seed_of(seed)
    half = min(len(z) // 2, LARGEST_HALF)
    if not ks or min(ks) < 2:
        raise InputError("numbers of clusters to choose among start at 2")
    if max(ks) >= half:
        raise InputError(
            f"{max(ks)} clusters are too many to judge by halves of {half:,} samples, "
            f"which serve up to {max(half - 1, 0):,}"
        )
    silhouette, davies_bouldin = np.zeros((2, 2 * n_divisions, len(ks)))
    stability = np.zeros((n_divisions, len(ks)))
    for r in range(n_divisions):
        order = np.random.default_rng((seed, r)).permutation(len(z))
        halves = [z[order[:half]], z[order[half : 2 * half]]]
        distances = [metrics.pairwise_distances(x) for x in halves]
        for j, k in enumerate(ks):
            fits = [
                KMeans(k, n_init=3, random_state=(seed + r) % 2**32).fit(x)  # pyright: ignore[reportArgumentType]
                for x in halves
            ]
            for i, (x, fit) in enumerate(zip(halves, fits, strict=True)):
                silhouette[2 * r + i, j] = _score(
                    metrics.silhouette_score, distances[i], fit, metric="precomputed"
                )
                davies_bouldin[2 * r + i, j] = _score(metrics.davies_bouldin_score, x, fit)
            given = fits[0].predict(halves[1])
            stability[r, j] = metrics.adjusted_rand_score(given, fits[1].labels_)
            advance(1)
    return KScores(np.asarray(ks), silhouette, davies_bouldin, stability)


def _score(score: Callable[..., float], x: np.ndarray, fit: KMeans, **settings: str) -> float:
    """The score; NaN if k-means finds fewer than two clusters."""
    labels = np.asarray(fit.labels_)
    if len(np.unique(labels)) < 2:
        return np.nan
    return float(score(x, labels, **settings))


def choose(scores: KScores) -> Choice:
    """The number with the highest mean silhouette, and those that are close to it within the spread over halves.

    A number is as good where its mean is less than two standard deviations below the best, of the best over the
    halves. The rule was chosen on scikit-learn's digits and the UCI multiple features, whose classes are known.

    Raises:
      InputError: all samples are alike.
    """
    means = scores.silhouette.mean(axis=0)
    if not np.isfinite(means).any():
        raise InputError("the samples are all alike: there is one cluster, or none")
    best = int(np.nanargmax(means))
    as_good = means >= means[best] - 2 * scores.silhouette[:, best].std(ddof=1)
    return Choice(int(scores.ks[best]), tuple(int(k) for k in scores.ks[as_good]))

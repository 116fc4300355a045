"""Which members of a cluster lie in its middle, and which might as well be in another."""

from __future__ import annotations

import numpy as np


def cluster_means(embeddings: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """The mean of the embeddings ``[n_samples, d]`` of each cluster ``[k, d]``; NaN for an empty one."""
    members = (embeddings[labels == c] for c in range(n_clusters))
    return np.stack([x.mean(axis=0) if len(x) else np.full(x.shape[1], np.nan) for x in members])


def central_members(
    embeddings: np.ndarray, labels: np.ndarray, means: np.ndarray, cluster: int, n: int
) -> np.ndarray:
    """The members of a cluster whose embeddings are nearest to its mean.

    Args:
      embeddings: ``[n_samples, d]``.
      labels: cluster of each ``[n_samples]``.
      means: of the clusters ``[k, d]``.
      cluster: which.
      n: how many, at most.

    Returns:
      Their rows, the nearest first; a tie goes to the first row.
    """
    rows = np.flatnonzero(labels == cluster)
    return rows[np.argsort(_distances(embeddings[rows], means[cluster]), kind="stable")][:n]


def doubtful_members(
    embeddings: np.ndarray | None,
    probabilities: np.ndarray,
    means: np.ndarray | None,
    cluster: int,
    n: int,
    *,
    labels: np.ndarray | None = None,
) -> np.ndarray:
    """The members of a cluster that are nearest to belonging to another.

    By the distance between their two highest probabilities; where all are 0 or 1, as those of k-means, by that
    between their distances to the mean of the cluster and to the nearest other mean.

    Args:
      embeddings: ``[n_samples, d]``; without them nobody is in doubt where all probabilities are 0 or 1.
      probabilities: ``[n_samples, k]``; a sample belongs to the cluster of its highest.
      means: of the clusters ``[k, d]``; NaN for an empty one.
      cluster: which.
      n: how many, at most.
      labels: cluster of each ``[n_samples]``, if they are known already.

    Returns:
      Their rows, the most doubtful first.
    """
    labels = probabilities.argmax(axis=1) if labels is None else labels
    rows = np.flatnonzero(labels == cluster)
    own = probabilities[rows]
    if ((own == 0) | (own == 1)).all():
        if embeddings is None or means is None:
            return rows[:0]
        if np.isfinite(means).all(axis=1).sum() < 2:
            return rows[:0]
        x = embeddings[rows]
        margin = _to_nearest_other(x, means, cluster) - _distances(x, means[cluster])
    elif own.shape[1] == 1:
        margin = own[:, 0]
    else:
        highest = np.partition(own, -2, axis=1)
        margin = highest[:, -1] - highest[:, -2]
    return rows[np.argsort(margin, kind="stable")][:n]


def _distances(x: np.ndarray, to: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x - to[None, :], axis=1)


def _to_nearest_other(x: np.ndarray, means: np.ndarray, cluster: int) -> np.ndarray:
    """Distance of each ``[m, d]`` to the nearest mean but one: found by a matrix product, then taken exactly."""
    apart = np.einsum("kd,kd->k", means, means)[None, :] - 2 * x @ means.T
    apart[:, cluster] = np.nan
    return np.linalg.norm(x - means[np.nanargmin(apart, axis=1)], axis=1)

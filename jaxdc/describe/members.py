"""The central and the doubtful members of a cluster."""

from __future__ import annotations

import numpy as np

from jaxdc.train.labels import labels_of


def cluster_means(embeddings: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """Mean embedding of each cluster ``[k, d]``; NaN for an empty one."""
    members = (embeddings[labels == c] for c in range(n_clusters))
    return np.stack([x.mean(axis=0) if len(x) else np.full(x.shape[1], np.nan) for x in members])


def central_members(
    embeddings: np.ndarray, labels: np.ndarray, means: np.ndarray, cluster: int, n: int
) -> np.ndarray:
    """The members of a cluster whose embeddings are nearest to its mean.

    Args:
      embeddings: embeddings of all samples ``[n_samples, d]``.
      labels: cluster of each sample ``[n_samples]``.
      means: means of the clusters ``[k, d]``.
      cluster: number of the cluster.
      n: maximum number of members.

    Returns:
      Their rows, nearest first; ties in order of the rows.
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
    """The members of a cluster that are closest to belonging to another.

    Sorted by the difference between their two highest probabilities; if all probabilities are 0 or 1, as with
    k-means, by the difference between their distances to the cluster's mean and to the nearest other mean.

    Args:
      embeddings: embeddings of all samples ``[n_samples, d]``; without them, no member is doubtful if all
        probabilities are 0 or 1.
      probabilities: cluster probabilities ``[n_samples, k]``; a sample belongs to the cluster with the highest.
      means: means of the clusters ``[k, d]``; NaN for an empty one.
      cluster: number of the cluster.
      n: maximum number of members.
      labels: cluster of each sample ``[n_samples]``, if already known.

    Returns:
      Their rows, most doubtful first.
    """
    labels = labels_of(probabilities) if labels is None else labels
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
    """Distance of each ``[m, d]`` to the nearest other mean: found by a matrix product, then computed exactly."""
    apart = np.einsum("kd,kd->k", means, means)[None, :] - 2 * x @ means.T
    apart[:, cluster] = np.nan
    return np.linalg.norm(x - means[np.nanargmin(apart, axis=1)], axis=1)

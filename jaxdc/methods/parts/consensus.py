"""What several clusterings of the same samples agree on. NumPy on the host, once a refresh."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def buckets(labels: np.ndarray, sure: np.ndarray, n_clusters: int, *, most_shared: int) -> np.ndarray:
    """Groups of samples that all clusterings put together, and that few put together with another group.

    Kingdra's graph: samples that all m clusterings put together are joined. The sample with the most such
    neighbours makes a bucket with them; then whatever more than ``most_shared`` clusterings put together with the
    bucket is out of the running, and so on until there are k buckets. Samples of one bucket have the same m
    labels, so the work is linear in n.

    Args:
      labels: cluster of each sample in each clustering ``[m, n]``.
      sure: which samples may be in a bucket ``[n]``.
      n_clusters: number of buckets, k.
      most_shared: at most so many clusterings may put a sample together with an earlier bucket, from 0 to m - 1.

    Returns:
      Bucket of each sample ``[n]``, in the order in which they were made; -1 for those in none. Fewer than k if
      no more are left.
    """
    rows, first, which = np.unique(labels.T, axis=0, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    sizes = np.bincount(which[sure], minlength=len(rows))
    found = np.full(len(rows), -1)
    for bucket in range(n_clusters):
        largest = np.lexsort((first, -sizes))[0]
        if sizes[largest] == 0:
            break
        found[largest] = bucket
        shared = np.sum(rows == rows[largest], axis=1)
        sizes[shared > most_shared] = 0
    return np.where(sure, found[which], -1)


def names_of(labels: np.ndarray, reference: np.ndarray, n_clusters: int) -> np.ndarray:
    """The cluster of a clustering that stands for each cluster of a reference, by the best one-to-one match.

    Args:
      labels: clusters ``[n]``, from 0 to k - 1.
      reference: clusters of the same samples ``[n]``.
      n_clusters: number of clusters in both, k.

    Returns:
      ``[k]``, a permutation: entry c is the cluster in ``labels`` that matches cluster c of the reference.
    """
    table = np.zeros((n_clusters, n_clusters), np.int64)
    np.add.at(table, (reference, labels), 1)
    return linear_sum_assignment(table, maximize=True)[1]


def named(labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """The cluster that stands for each bucket, one-to-one, by the votes of several clusterings with common names.

    Args:
      labels: for each bucket the m clusters of its samples ``[k, m]``.
      n_clusters: number of clusters, k.
    """
    votes = np.sum(labels[:, :, None] == np.arange(n_clusters)[None, None], axis=1)
    return linear_sum_assignment(votes, maximize=True)[1]

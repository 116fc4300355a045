"""Agreement of clusters with known classes. Computed on the host, in float64.

All take ``(labels_true, labels_pred)`` like scikit-learn: two sequences of n labels, integers or
strings, of any values. The numbers of clusters and classes may differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn import metrics as _sklearn


def clustering_accuracy_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """ACC: the share of correct samples under the best one-to-one match of clusters and classes.

    Each cluster stands for at most one class and each class for at most one cluster (Hungarian
    algorithm; Xie et al., 2016, arXiv 1511.06335, equation 10). With more clusters than classes, the
    samples of the remaining clusters count as wrong; ``purity_score`` does not penalise this.

    Args:
      labels_true: classes ``[n]``.
      labels_pred: clusters ``[n]``.

    Returns:
      A number from 0 to 1.

    Raises:
      ValueError: the lengths differ, or there are no samples.

    Example:
      >>> clustering_accuracy_score([0, 0, 1, 1], [5, 5, 7, 5])
      0.75
    """
    table = _contingency(labels_true, labels_pred)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def purity_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Purity: the share of samples whose class is the most frequent one in their cluster.

    This is a many-to-one match, for over-clustering. It grows with the number of clusters and is 1 if every
    sample is its own cluster, so never report it alone.

    Args:
      labels_true: classes ``[n]``.
      labels_pred: clusters ``[n]``.

    Returns:
      A number from 0 to 1.

    Raises:
      ValueError: the lengths differ, or there are no samples.

    Example:
      >>> purity_score([0, 0, 1, 1], [0, 1, 2, 2])
      1.0
    """
    table = _contingency(labels_true, labels_pred)
    return float(table.max(axis=0).sum() / table.sum())


def normalized_mutual_info_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """NMI with the arithmetic mean: ``I(Y; C) / ((H(Y) + H(C)) / 2)``, as in scikit-learn.

    Args:
      labels_true: classes ``[n]``.
      labels_pred: clusters ``[n]``.

    Returns:
      A number from 0 to 1.

    Raises:
      ValueError: the lengths differ, or there are no samples.

    Example:
      >>> normalized_mutual_info_score(['a', 'a', 'b', 'b'], [1, 1, 0, 0])
      1.0
    """
    _contingency(labels_true, labels_pred)
    return float(_sklearn.normalized_mutual_info_score(labels_true, labels_pred))


def adjusted_rand_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """ARI (Hubert and Arabie, 1985), as in scikit-learn.

    Args:
      labels_true: classes ``[n]``.
      labels_pred: clusters ``[n]``.

    Returns:
      A number from -0.5 to 1: about 0 for chance, 1 for a perfect match.

    Raises:
      ValueError: the lengths differ, or there are no samples.

    Example:
      >>> adjusted_rand_score([0, 0, 1, 1], [0, 1, 0, 1])
      -0.5
    """
    _contingency(labels_true, labels_pred)
    return float(_sklearn.adjusted_rand_score(labels_true, labels_pred))


def pairwise_f1_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Pairwise F1: how well the pairs of samples in one cluster agree with the pairs of one class.

    The harmonic mean of precision (the share of the pairs in one cluster that have the same class) and recall (the
    share of the pairs of one class that are in one cluster). Unlike ARI, it is not corrected for chance.

    Args:
      labels_true: classes ``[n]``.
      labels_pred: clusters ``[n]``.

    Returns:
      A number from 0 to 1; 1 if neither classes nor clusters contain a pair.

    Raises:
      ValueError: the lengths differ, or there are no samples.

    Example:
      >>> pairwise_f1_score([0, 0, 0, 1], [0, 0, 1, 1])
      0.4
    """
    table = _contingency(labels_true, labels_pred)
    both, of_class, of_cluster = (
        int((counts * (counts - 1) // 2).sum()) for counts in (table, table.sum(axis=1), table.sum(axis=0))
    )
    return 2 * both / (of_class + of_cluster) if of_class + of_cluster else 1.0


def matched_labels(labels_true: ArrayLike, labels_pred: ArrayLike) -> np.ndarray:
    """The predictions, with each cluster renamed to its class in the best match.

    Args:
      labels_true: classes ``[n]``.
      labels_pred: clusters ``[n]``.

    Returns:
      ``[n]`` of the type of ``labels_true`` if every cluster has a class; otherwise an object
      array, in which clusters without a class are called ``"cluster C"``.

    Raises:
      ValueError: the lengths differ, or there are no samples.

    Example:
      >>> print(matched_labels(["cat", "cat", "dog"], [1, 1, 0]))
      ['cat' 'cat' 'dog']
    """
    table = _contingency(labels_true, labels_pred)
    classes, clusters = np.unique(labels_true), np.unique(labels_pred)
    name = {clusters[c]: classes[t] for t, c in zip(*linear_sum_assignment(table, maximize=True), strict=True)}
    renamed = [name.get(c, f"cluster {c}") for c in np.asarray(labels_pred)]
    return np.array(renamed, dtype=classes.dtype if len(name) == len(clusters) else object)


def _contingency(labels_true, labels_pred) -> np.ndarray:
    """Counts [classes, clusters]."""
    labels_true, labels_pred = np.asarray(labels_true), np.asarray(labels_pred)
    if labels_true.ndim != 1 or labels_pred.ndim != 1 or len(labels_true) != len(labels_pred):
        raise ValueError(
            f"labels_true {labels_true.shape} and labels_pred {labels_pred.shape} must be two lists of the "
            "same length"
        )
    if not len(labels_true):
        raise ValueError("labels_true is empty: there is nothing to score")
    _, rows = np.unique(labels_true, return_inverse=True)
    _, columns = np.unique(labels_pred, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(table, (rows, columns), 1)
    return table

"""How far several clusterings of the same samples agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxdc import metrics


class Agreement(NamedTuple):
    """Pairwise agreement of m clusterings.

    Attributes:
      ari: adjusted Rand index of every two ``[m, m]``.
      means: mean index of each with the others ``[m]``.
      mean: mean index of all pairs.
      best: the clustering that agrees most with the others.
    """

    ari: np.ndarray
    means: np.ndarray
    mean: float
    best: int


def agreement(labels: Sequence[np.ndarray]) -> Agreement:
    """Compares clusterings with each other, which needs no classes.

    The one that agrees most with the others is the least accidental: a seed that ran into a bad optimum finds
    clusters that no other seed finds.

    Args:
      labels: clusters ``[n]`` of each of two or more clusterings.
    """
    m = len(labels)
    ari = np.eye(m)
    for i in range(m):
        for j in range(i):
            ari[i, j] = ari[j, i] = metrics.adjusted_rand_score(labels[i], labels[j])
    means = (ari.sum(axis=1) - 1) / (m - 1)
    return Agreement(ari, means, float(means.mean()), int(np.argmax(means)))

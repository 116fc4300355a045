"""Which clusters belong together: a hierarchy of the clusters by Ward's criterion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist


class Join(NamedTuple):
    """Two groups of clusters that become one.

    Attributes:
      left: clusters of the first group.
      right: clusters of the second group.
      height: distance of the groups, in units of the mean distance of a sample from the mean of its cluster.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    height: float

    def as_dict(self) -> dict:
        """The join for JSON."""
        return {"left": list(self.left), "right": list(self.right), "height": self.height}


def hierarchy(embeddings: np.ndarray, labels: np.ndarray, n_clusters: int) -> list[Join]:
    """Joins the clusters two by two: Ward's hierarchy of their means, each as heavy as its cluster is large.

    The next two groups to join are those whose union adds the least variance within groups, ``|m_a - m_b|^2 n_a
    n_b / (n_a + n_b)`` for n_a and n_b samples with means m_a and m_b (Ward, 1963). The height of a join is the
    distance of the two means, which does not grow with the number of samples, or the height of a join that it
    contains if that is larger.

    Args:
      embeddings: embeddings of the samples ``[n, d]``.
      labels: clusters ``[n]``; -1 is left out.
      n_clusters: k.

    Returns:
      The joins in their order, one fewer than there are clusters with a sample.
    """
    present = [c for c in range(n_clusters) if (labels == c).any()]
    if len(present) < 2:
        return []
    x = np.asarray(embeddings, np.float64)
    means = np.stack([x[labels == c].mean(axis=0) for c in present])
    sizes = np.array([(labels == c).sum() for c in present], np.float64)
    within = [np.linalg.norm(x[labels == c] - means[i][None, :], axis=1).sum() for i, c in enumerate(present)]
    unit = float(np.sum(within) / sizes.sum()) or 1.0
    members: list[tuple[int, ...]] = [(c,) for c in present]
    heights, joins = np.zeros(len(present)), []
    squares = cdist(means, means, "sqeuclidean")
    alive = np.ones(len(present), bool)
    cost = _cost(squares, sizes)
    while alive.sum() > 1:
        a, b = np.unravel_index(int(np.argmin(cost)), cost.shape)
        height = max(float(np.sqrt(squares[a, b])) / unit, heights[a], heights[b])
        joins.append(Join(tuple(sorted(members[a])), tuple(sorted(members[b])), height))
        means[a] = (sizes[a] * means[a] + sizes[b] * means[b]) / (sizes[a] + sizes[b])
        sizes[a] += sizes[b]
        members[a], heights[a] = members[a] + members[b], height
        alive[b] = False
        cost[b, :] = cost[:, b] = np.inf
        squares[a] = squares[:, a] = np.square(means - means[a][None, :]).sum(axis=1)
        row = np.where(alive, sizes * sizes[a] / (sizes + sizes[a]) * squares[a], np.inf)
        row[a] = np.inf
        cost[a, :] = cost[:, a] = row
    return joins


def _cost(squares: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    weight = sizes[:, None] * sizes[None, :] / (sizes[:, None] + sizes[None, :])
    cost = weight * squares
    np.fill_diagonal(cost, np.inf)
    return cost

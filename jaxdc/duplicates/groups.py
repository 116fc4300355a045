"""Groups of samples that are equal, or nearly so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

BLOCK = 256  # rows compared with all others at a time


def exact_groups(contents: Iterable[bytes]) -> list[list[int]]:
    """Groups of equal samples.

    Args:
      contents: the bytes of each sample.

    Returns:
      Rows of the samples of each group of two or more, ascending, in the order of their first samples.
    """
    rows: dict[bytes, list[int]] = {}
    for row, content in enumerate(contents):
        rows.setdefault(hashlib.blake2b(content, digest_size=16).digest(), []).append(row)
    return [group for group in rows.values() if len(group) > 1]


def near_groups(vectors: Any, threshold: float) -> list[list[int]]:
    """Groups of samples that are linked by pairs of a cosine of at least the threshold.

    All pairs are compared, a block of rows at a time: ``n^2 d`` operations, and memory for ``[256, n]`` cosines.

    Args:
      vectors: ``[n, d]``, dense or a SciPy sparse matrix; a row of zeros is like no other.
      threshold: cosine, above 0 and at most 1.

    Returns:
      Rows of the samples of each group of two or more, ascending, in the order of their first samples.
    """
    from scipy.sparse import coo_array, issparse
    from scipy.sparse.csgraph import connected_components
    from sklearn.preprocessing import normalize

    unit: Any = normalize(vectors if issparse(vectors) else np.asarray(vectors, np.float32))
    n = unit.shape[0]
    group = np.arange(n)
    for first in range(0, n, BLOCK):
        cosines = unit[first : first + BLOCK] @ unit[first:].T
        if issparse(cosines):
            cosines = cosines.tocoo()
            close = cosines.data >= threshold - 1e-6
            a, b = cosines.row[close], cosines.col[close]
        else:
            a, b = np.nonzero(cosines >= threshold - 1e-6)
        later = b > a
        if later.any():
            edges = (group[first + a[later]], group[first + b[later]])
            graph = coo_array((np.ones(len(edges[0]), bool), edges), shape=(n, n))
            group = connected_components(graph, directed=False)[1][group]
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted(part.tolist() for part in parts if len(part) > 1)

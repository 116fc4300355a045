"""Which documents are alike, as a sparse graph."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdc import cluster
from jaxdc.workspaces.sessions import Pairs


class Graph(NamedTuple):
    """Edges without direction, each once.

    Attributes:
      first: document ``[e]``.
      second: another ``[e]``, of a higher number.
      weights: above 0 ``[e]``, float64.
      n: documents.
    """

    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray
    n: int


def learned_graph(vectors: np.ndarray, n_neighbors: int, temperature: float) -> Graph:
    """Each document and its nearest neighbours, by vectors that the towers have learnt.

    An edge weighs ``exp((cosine - 1) / temperature)``: what the loss takes to be the factor by which two documents
    are used together more often than by chance, up to a constant. Documents of which nothing is known (zero
    vectors) have none.
    """
    first, second, cosines = _nearest(vectors, n_neighbors)
    return _once(first, second, np.exp((cosines - 1) / temperature), len(vectors))


def cosine_graph(vectors: np.ndarray, n_neighbors: int) -> Graph:
    """Each document and its nearest neighbours by the cosine of vectors as they are, where it is above 0."""
    return _once(*_nearest(vectors, n_neighbors), len(vectors))


def co_access_graph(pairs: Pairs, n_documents: int) -> Graph:
    """Each pair that was accessed together, by how often."""
    return Graph(pairs.first, pairs.second, pairs.weights, n_documents)


def _nearest(vectors: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Documents, their neighbours, and the cosines of the two, one after the other; never a document itself."""
    known = np.flatnonzero(np.any(vectors, axis=1))
    if len(known) < 2:
        return known[:0], known[:0], np.zeros(0)
    found = cluster.nearest_neighbors(jnp.asarray(vectors[known]), min(n_neighbors + 1, len(known)))
    second, cosines = np.asarray(found.indices), np.asarray(found.similarities, np.float64)
    others = np.not_equal(second, np.arange(len(known))[:, None])
    # A document that is equal to many others may not be among its own neighbours: the last one is too many then.
    others &= np.cumsum(others, axis=1) <= n_neighbors
    first = np.repeat(known, others.sum(axis=1))
    return first, known[second[others]], cosines[others]


def _once(first: np.ndarray, second: np.ndarray, weights: np.ndarray, n: int) -> Graph:
    """Of ``a -> b`` and ``b -> a`` the mean, where one alone is there the half of it."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    keys, place = np.unique(low * n + high, return_inverse=True)
    weights = np.bincount(place, weights, len(keys)) / 2
    kept = weights > 0
    return Graph((keys // n)[kept], (keys % n)[kept], weights[kept], n)

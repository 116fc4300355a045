"""Similarity of documents as a sparse graph."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdc import cluster
from jaxdc.workspaces.sessions import Pairs


class Graph(NamedTuple):
    """Undirected edges, each listed once.

    Attributes:
      first: first document of each edge ``[e]``.
      second: second document ``[e]``, with a higher number.
      weights: weights of the edges, above 0 ``[e]``, float64.
      n: number of documents.
    """

    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray
    n: int


def learned_graph(vectors: np.ndarray, n_neighbors: int, temperature: float) -> Graph:
    """Connects each document with its nearest neighbours, by the vectors of the trained towers.

    An edge has weight ``exp((cosine - 1) / temperature)``: under the loss this is, up to a constant, the factor by
    which two documents are used together more often than by chance. Documents without any information (zero
    vectors) have no edges.
    """
    first, second, cosines = _nearest(vectors, n_neighbors)
    return _once(first, second, np.exp((cosines - 1) / temperature), len(vectors))


def cosine_graph(vectors: np.ndarray, n_neighbors: int) -> Graph:
    """Connects each document with its nearest neighbours by cosine similarity, if it is above 0."""
    return _once(*_nearest(vectors, n_neighbors), len(vectors))


def co_access_graph(pairs: Pairs, n_documents: int) -> Graph:
    """Connects each pair that was accessed together, weighted by how often."""
    return Graph(pairs.first, pairs.second, pairs.weights, n_documents)


def _nearest(vectors: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Documents, their neighbours, and the cosines, flattened; never a document itself."""
    known = np.flatnonzero(np.any(vectors, axis=1))
    if len(known) < 2:
        return known[:0], known[:0], np.zeros(0)
    found = cluster.nearest_neighbors(jnp.asarray(vectors[known]), min(n_neighbors + 1, len(known)))
    second, cosines = np.asarray(found.indices), np.asarray(found.similarities, np.float64)
    others = np.not_equal(second, np.arange(len(known))[:, None])
    # A document equal to many others may not be among its own neighbours: then drop the last one instead.
    others &= np.cumsum(others, axis=1) <= n_neighbors
    first = np.repeat(known, others.sum(axis=1))
    return first, known[second[others]], cosines[others]


def _once(first: np.ndarray, second: np.ndarray, weights: np.ndarray, n: int) -> Graph:
    """Averages ``a -> b`` and ``b -> a``; if only one exists, takes half of it."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    keys, place = np.unique(low * n + high, return_inverse=True)
    weights = np.bincount(place, weights, len(keys)) / 2
    kept = weights > 0
    return Graph((keys // n)[kept], (keys % n)[kept], weights[kept], n)

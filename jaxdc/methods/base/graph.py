"""The edges of a network."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph


class Graph:
    """The undirected edges of a network, each in both directions, sorted by target, without self-loops.

    Args:
      n_nodes: number of nodes, n.
      edges: ``[m, 2]`` pairs of nodes from 0 to n - 1, in any direction.

    Attributes:
      n_nodes: number of nodes.
      sources: where each directed edge begins, int32 ``[2m]``.
      targets: where it ends, int32 ``[2m]``, ascending.
      n_self_loops: self-loops that were dropped.
      n_duplicates: edges that were dropped because they had been given before, in either direction.
    """

    def __init__(self, n_nodes: int, edges: np.ndarray):
        edges = np.asarray(edges, np.int64).reshape(-1, 2)
        apart = edges[edges[:, 0] != edges[:, 1]]
        low, high = apart.min(axis=1), apart.max(axis=1)
        once = np.unique(low * n_nodes + high)
        low, high = once // max(n_nodes, 1), once % max(n_nodes, 1)
        sources, targets = np.concatenate([low, high]), np.concatenate([high, low])
        order = np.lexsort((sources, targets))
        self.n_nodes = n_nodes
        self.sources, self.targets = sources[order].astype(np.int32), targets[order].astype(np.int32)
        self.n_self_loops, self.n_duplicates = len(edges) - len(apart), len(apart) - len(once)

    @classmethod
    def of_size(cls, n_nodes: int, n_edges: int) -> Graph:
        """A placeholder with the right shapes, for a run whose edges are in its checkpoint."""
        made = cls(n_nodes, np.zeros((0, 2)))
        made.sources = made.targets = np.zeros(2 * n_edges, np.int32)
        return made

    @property
    def n_edges(self) -> int:
        """Number of undirected edges, m."""
        return len(self.targets) // 2

    @property
    def degrees(self) -> np.ndarray:
        """Number of neighbours of each node, int64 ``[n]``."""
        return np.bincount(self.targets, minlength=self.n_nodes)

    @property
    def adjacency(self) -> scipy.sparse.csr_array:
        """The symmetric matrix of zeros and ones, float32 ``[n, n]``."""
        ones = np.ones(len(self.targets), np.float32)
        return scipy.sparse.csr_array((ones, (self.targets, self.sources)), shape=(self.n_nodes, self.n_nodes))

    def n_components(self) -> int:
        """Number of connected components; an isolated node is one."""
        return int(scipy.sparse.csgraph.connected_components(self.adjacency, directed=False)[0])

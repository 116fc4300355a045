"""Hierarchical clustering of a graph's nodes, and the choice of a cut, without a given number of clusters.

The hierarchy is Paris (Bonald et al., 2018, arXiv 1806.01664), which joins the two clusters that are most linked
relative to their degrees. It works on a sparse graph, while average linkage needs the similarity of every two
documents, and needs no resolution parameter, while modularity (Louvain, Leiden) has one and misses small
clusters in a large graph.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jaxdc.workspaces.graph import Graph
from jaxdc.workspaces.sessions import Pairs


class Hierarchy(NamedTuple):
    """Joins of clusters, ordered by height. Node i is cluster i; join j makes cluster n + j.

    Attributes:
      joined: the two clusters of each join ``[j, 2]``.
      heights: height of each join: how weakly they were linked relative to their degrees ``[j]``, ascending.
      n: number of nodes. If the graph has several components, there are fewer than n - 1 joins.
    """

    joined: np.ndarray
    heights: np.ndarray
    n: int

    def labels(self, n_joins: int) -> np.ndarray:
        """The cluster of each node ``[n]`` after this many joins, from 0."""
        above = np.arange(self.n + n_joins)
        # From the last join down, each cluster takes the number of the one it was joined into.
        for j in range(n_joins - 1, -1, -1):
            above[self.joined[j]] = above[self.n + j]
        return np.unique(above[: self.n], return_inverse=True)[1].astype(np.int32)

    def n_joins(self, height: float) -> int:
        """Number of joins up to a height."""
        return int(np.searchsorted(self.heights, height, side="right"))


def paris(graph: Graph) -> Hierarchy:
    """Repeatedly joins the two clusters a, b with the smallest ``d_a d_b / (w_ab w)``.

    d is the sum of the weights at a cluster, w_ab the weight between two, w the total. Nearest neighbours are
    followed until two are each other's (a nearest-neighbour chain), which gives the same joins as a full search.
    """
    near: dict[int, dict[int, float]] = {i: {} for i in range(graph.n)}
    for a, b, weight in zip(graph.first.tolist(), graph.second.tolist(), graph.weights.tolist(), strict=True):
        near[a][b] = near[b][a] = weight
    degrees = {i: sum(weights.values()) for i, weights in near.items()}
    total = sum(degrees.values())
    left = dict.fromkeys(near)
    joins: list[tuple[int, int, float]] = []
    height_of: dict[int, float] = {}
    while left:
        chain = [next(iter(left))]
        while chain:
            a, before = chain[-1], chain[-2] if len(chain) > 1 else None
            if not near[a]:
                del left[chain.pop()]  # a whole component of the graph
                continue
            b, height = _nearest(a, near[a], degrees, before)
            if b != before:
                chain.append(b)
                continue
            del chain[-2:]
            new = graph.n + len(joins)
            # Rounding must not put a join before those it consists of.
            height = max(height / total, height_of.get(a, 0.0), height_of.get(b, 0.0))
            joins.append((a, b, height))
            height_of[new] = height
            _join(near, a, b, new)
            degrees[new] = degrees.pop(a) + degrees.pop(b)
            del left[a], left[b]
            left[new] = None
    return _in_order(joins, graph.n)


def _nearest(a: int, near: dict[int, float], degrees: dict[int, float], before: int | None) -> tuple[int, float]:
    """The nearest neighbour; on ties the one before in the chain, or else the first."""
    best, least, degree = -1, math.inf, degrees[a]
    for b, weight in near.items():
        # Bit-identical from b to a, or a chain could run in a circle.
        height = degree * degrees[b] / weight
        if height < least or (height == least and (b == before or (best != before and b < best))):
            best, least = b, height
    return best, least


def _join(near: dict[int, dict[int, float]], a: int, b: int, new: int) -> None:
    """Joins two nodes into one."""
    weights, fewer = sorted((near.pop(a), near.pop(b)), key=len, reverse=True)
    for c, weight in fewer.items():
        weights[c] = weights.get(c, 0.0) + weight
    weights.pop(a, None)
    weights.pop(b, None)
    for c, weight in weights.items():
        near[c].pop(a, None)
        near[c].pop(b, None)
        near[c][new] = weight
    near[new] = weights


def _in_order(joins: list[tuple[int, int, float]], n: int) -> Hierarchy:
    heights = np.array([height for _, _, height in joins])
    order = np.argsort(heights, kind="stable")
    place = np.empty(len(joins), int)
    place[order] = np.arange(len(joins))
    joined = np.array([[a, b] for a, b, _ in joins], int).reshape(-1, 2)[order]
    renamed = np.where(joined < n, joined, n + place[np.maximum(joined - n, 0)]) if len(joins) else joined
    return Hierarchy(renamed, heights[order], n)


class Cut(NamedTuple):
    """A cut of a hierarchy.

    Attributes:
      n_joins: number of joins below the cut.
      height: height of the last of them.
      score: nats per pair by which the clusters predict pairs better than degrees alone.
    """

    n_joins: int
    height: float
    score: float


def best_cut(hierarchy: Hierarchy, pairs: Pairs) -> Cut:
    """The cut that best predicts held-out pairs of documents.

    Under a cut, a share s of the weight of the pairs lies within clusters; it would be s0 if documents were paired
    at random, each with its own frequency. ``s log(s / s0) + (1 - s) log((1 - s) / (1 - s0))``, or 0 if s is not
    above s0, is the log-likelihood of the degree-corrected planted partition at its best rates (Karrer and Newman,
    2011; Newman, 2016), minus that of chance. Too fine a cut has a small s; with too coarse a one, s0 is large
    too.
    """
    scores = cut_scores(hierarchy, pairs)
    best = int(np.argmax(scores))
    height = float(hierarchy.heights[best - 1]) if best else 0.0
    return Cut(best, height, float(scores[best]))


def cut_scores(hierarchy: Hierarchy, pairs: Pairs) -> np.ndarray:
    """This score for each number of joins, from none to all ``[j + 1]``."""
    weights = pairs.weights / pairs.weights.sum()
    share = (np.bincount(pairs.first, weights, hierarchy.n) + np.bincount(pairs.second, weights, hierarchy.n)) / 2
    near: dict[int, dict[int, float]] = {i: {} for i in range(hierarchy.n)}
    for a, b, weight in zip(pairs.first.tolist(), pairs.second.tolist(), weights.tolist(), strict=True):
        near[a][b] = near[b][a] = weight
    shares = dict(enumerate(share.tolist()))
    within, by_chance = 0.0, float((share**2).sum())
    scores = [_foretold(within, by_chance)]
    for j, (a, b) in enumerate(hierarchy.joined.tolist()):
        within += near[a].get(b, 0.0)
        one, other = shares.pop(a), shares.pop(b)
        by_chance += 2 * one * other
        _join(near, a, b, hierarchy.n + j)
        shares[hierarchy.n + j] = one + other
        scores.append(_foretold(within, by_chance))
    return np.array(scores)


def _foretold(within: float, by_chance: float) -> float:
    within, by_chance = min(within, 1.0), min(by_chance, 1.0)
    if within <= by_chance or by_chance == 0:
        return 0.0
    score = within * math.log(within / by_chance)
    if 1 - within > 1e-12:
        score += (1 - within) * math.log((1 - within) / (1 - by_chance))
    return score

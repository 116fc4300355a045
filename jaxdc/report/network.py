"""A drawing of a network, with nodes in the colours of their clusters, and a description in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxdc.methods.base import Graph
from jaxdc.report.contents import Run
from jaxdc.report.embedding_map import SIDE, fitted, title_of
from jaxdc.report.templates import Section, section

MOST_NODES = 500  # that are drawn: more make one grey blot, and a page that is slow to scroll
MOST_EDGES = 4000
ROUNDS = 150  # of the springs
NEAREST = 3  # clusters that are named beside each


class Dot(NamedTuple):
    """A drawn node: its cluster, position, size and title."""

    cluster: int
    x: int
    y: int
    radius: float
    title: str


class Linked(NamedTuple):
    """The edges of a cluster: their number, the share inside it, and the clusters that most others lead to."""

    cluster: int
    n_edges: int
    inside: float
    others: list[tuple[int, float]]


def network(run: Run) -> Section | None:
    """The section; None if the data are not a network or the clusters are unknown."""
    graph, labels = run.graph, run.labels
    if graph is None or labels is None or len(labels) != graph.n_nodes:
        return None
    rows = drawn_nodes(labels, graph.degrees, MOST_NODES)
    ends = edges_between(graph, rows)
    n_between = len(ends)
    places = fitted(spring_layout(len(rows), ends))
    if n_between > MOST_EDGES:
        ends = ends[np.linspace(0, n_between - 1, MOST_EDGES).astype(int)]
    names = run.without_folder()[1]
    degrees = graph.degrees[rows]
    sizes = 5 + 7 * np.sqrt(degrees / max(int(degrees.max(initial=1)), 1))
    told = [f"{row if names is None else names[row]}, {title_of(run, int(labels[row]))}" for row in rows.tolist()]
    dots = [
        Dot(int(labels[row]), int(x), int(y), round(float(size), 1), title)
        for row, (x, y), size, title in zip(rows, places, sizes, told, strict=True)
    ]
    return section(
        "network.html",
        anchor="network",
        link="Network",
        title="The network",
        notes=[_told(graph, len(rows), n_between, len(ends)), *_shares(graph, labels)],
        side=SIDE,
        dots=dots,
        edges=_paths(places, ends, labels[rows]),
        linked=linked(graph, labels, run.clusters),
        n_nodes=len(rows),
        n_edges=len(ends),
    )


def drawn_nodes(labels: np.ndarray, degrees: np.ndarray, most: int) -> np.ndarray:
    """Rows of the nodes to draw, ascending: all, or a share of each cluster, those with the most edges."""
    n = len(labels)
    if n <= most:
        return np.arange(n)
    rank = np.empty(n)
    for c in np.unique(labels):
        own = np.flatnonzero(labels == c)
        own = own[np.argsort(-degrees[own], kind="stable")]
        rank[own] = (np.arange(len(own)) + 0.5) / len(own)
    return np.sort(np.argsort(rank, kind="stable")[:most])


def edges_between(graph: Graph, rows: np.ndarray) -> np.ndarray:
    """The undirected edges among ``rows``, as positions in ``rows``: ``[m, 2]``."""
    place = np.full(graph.n_nodes, -1)
    place[rows] = np.arange(len(rows))
    a, b = place[graph.sources], place[graph.targets]
    return np.stack([a, b], axis=1)[(a >= 0) & (a < b)]


def spring_layout(n: int, ends: np.ndarray) -> np.ndarray:
    """Positions ``[n, 2]`` of a spring layout: edges pull, and all nodes repel each other.

    Fruchterman and Reingold (1991), with a pull to the middle that keeps parts without edges between them near.

    Args:
      n: number of nodes.
      ends: edges ``[m, 2]``.
    """
    xy = np.random.default_rng(0).uniform(-0.5, 0.5, (n, 2))
    length = 1 / np.sqrt(max(n, 1))
    for far in np.linspace(0.1, 0, ROUNDS, endpoint=False):
        away = xy[:, None, :] - xy[None, :, :]
        force = np.einsum("ijc,ij->ic", away, length**2 / (np.einsum("ijc,ijc->ij", away, away) + 1e-6))
        along = xy[ends[:, 0]] - xy[ends[:, 1]]
        pull = along * (np.linalg.norm(along, axis=1, keepdims=True) / length)
        np.subtract.at(force, ends[:, 0], pull)
        np.add.at(force, ends[:, 1], pull)
        force -= xy
        size = np.linalg.norm(force, axis=1, keepdims=True)
        xy += force / np.maximum(size, 1e-9) * np.minimum(size, far)
    return xy


def linked(graph: Graph, labels: np.ndarray, clusters: list[int]) -> list[Linked]:
    """Where the edges of each cluster lead, without clusters that have no edges."""
    k = max(int(labels.max(initial=0)) + 1, 1)
    own, other = labels[graph.targets], labels[graph.sources]
    known = (own >= 0) & (other >= 0)
    counts = np.bincount(own[known] * k + other[known], minlength=k * k).reshape(k, k)
    totals = np.bincount(own[own >= 0], minlength=k)
    found = []
    for c in clusters:
        if c >= k or not totals[c]:
            continue
        others = [j for j in np.argsort(-counts[c], kind="stable").tolist() if j != c and counts[c, j]][:NEAREST]
        shares = [(j, float(counts[c, j] / totals[c])) for j in others]
        n_edges = int(totals[c] - counts[c, c] // 2)
        found.append(Linked(c, n_edges, float(counts[c, c] / totals[c]), shares))
    return found


def modularity(graph: Graph, labels: np.ndarray) -> tuple[float, float]:
    """The share of edges inside clusters, and the share expected by chance from the degrees.

    Nodes in no cluster are each by themselves. The difference is Newman's modularity (2004).
    """
    m2 = max(len(graph.targets), 1)
    same = (labels[graph.targets] == labels[graph.sources]) & (labels[graph.targets] >= 0)
    clustered = labels >= 0
    of_clusters = np.bincount(labels[clustered], weights=graph.degrees[clustered])
    chance = np.sum((of_clusters / m2) ** 2) + np.sum((graph.degrees[~clustered] / m2) ** 2)
    return float(same.sum() / m2), float(chance)


def _told(graph: Graph, n: int, n_between: int, n_shown: int) -> str:
    if n == graph.n_nodes:
        told = f"All {n:,} nodes in the colours of their clusters"
    else:
        told = (
            f"{n:,} of {graph.n_nodes:,} nodes in the colours of their clusters: of each cluster its share, the "
            "nodes with the most edges"
        )
    if n_shown < n_between:
        return f"{told}; {n_shown:,} of the {n_between:,} edges between them. Larger dots have more edges."
    return f"{told}; the {n_between:,} edges between them. Larger dots have more edges."


def _shares(graph: Graph, labels: np.ndarray) -> list[str]:
    if not graph.n_edges:
        return []
    inside, chance = modularity(graph, labels)
    return [
        f"{inside:.0%} of all {graph.n_edges:,} edges are inside clusters, where chance would put {chance:.0%}: "
        f"the modularity is {inside - chance:.2f}."
    ]


def _paths(places: np.ndarray, ends: np.ndarray, labels: np.ndarray) -> list[tuple[int | None, str]]:
    """One path for the edges between clusters, None, and one for those inside each."""
    a, b = labels[ends[:, 0]], labels[ends[:, 1]]
    inside = np.where((a == b) & (a >= 0), a, -1)
    found: list[tuple[int | None, str]] = []
    for c in np.unique(inside).tolist():
        lines = np.concatenate([places[ends[inside == c, 0]], places[ends[inside == c, 1]]], axis=1)
        d = "".join(f"M{x1} {y1}L{x2} {y2}" for x1, y1, x2, y2 in lines.tolist())
        found.append((None if c < 0 else c, d))
    return found

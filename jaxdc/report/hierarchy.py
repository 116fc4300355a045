"""The hierarchy of the clusters as a tree, with the commands that merge the closest."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from jaxdc.describe import Join, hierarchy
from jaxdc.report.contents import Run
from jaxdc.report.templates import Section, section

MOST = 60  # clusters of a tree that can be read
LISTED = 5  # closest groups
WIDTH, STEP, LEFT, RIGHT, TOP = 640, 22, 10, 150, 12  # of the drawing, in its own units


class Leaf(NamedTuple):
    """A leaf of the tree: the cluster's number, its title and its vertical position."""

    cluster: int
    title: str
    y: float


class Close(NamedTuple):
    """Two groups of clusters, their distance, and the command that merges them."""

    left: str
    right: str
    height: float
    command: str


def hierarchy_section(run: Run) -> Section | None:
    """The section; None if there are fewer than three clusters or no embeddings."""
    if run.labels is None or run.embeddings is None:
        return None
    joins = hierarchy(run.embeddings, run.labels, run.n_clusters)
    if len(joins) < 2:
        return None
    leaves, branches = ([], []) if len(joins) >= MOST else _tree(run, joins)
    return section(
        "hierarchy.html",
        anchor="hierarchy",
        link="Hierarchy",
        title="Close clusters",
        notes=[
            "Ward's hierarchy of the cluster means. The unit of distance is the mean distance of a sample from "
            "the mean of its cluster: clusters below 1 overlap."
        ],
        leaves=leaves,
        branches=branches,
        width=WIDTH,
        height=2 * TOP + STEP * max(len(leaves) - 1, 0),
        right=WIDTH - RIGHT + 8,
        close=[_close(run, join) for join in joins[:LISTED]],
    )


def _tree(run: Run, joins: list[Join]) -> tuple[list[Leaf], list[str]]:
    """The leaves from top to bottom, and the outline of each merge."""
    order: dict[tuple[int, ...], tuple[int, ...]] = {}
    for join in joins:
        parts = [order.get(part, part) for part in (join.left, join.right)]
        order[tuple(sorted(join.left + join.right))] = parts[0] + parts[1]
    top = max(joins[-1].height, 1e-9)
    rows = order[tuple(sorted(joins[-1].left + joins[-1].right))]
    leaves = [Leaf(c, run.name_of(c), TOP + STEP * i) for i, c in enumerate(rows)]
    ends: dict[tuple[int, ...], tuple[float, float]] = {
        (leaf.cluster,): (float(WIDTH - RIGHT), leaf.y) for leaf in leaves
    }
    branches = []
    for join in joins:
        (x1, y1), (x2, y2) = ends[join.left], ends[join.right]
        x = LEFT + (WIDTH - RIGHT - LEFT) * (1 - join.height / top)
        branches.append(f"M{x1:.1f} {y1:.1f}H{x:.1f}V{y2:.1f}H{x2:.1f}")
        ends[tuple(sorted(join.left + join.right))] = (x, (y1 + y2) / 2)
    return leaves, branches


def _close(run: Run, join: Join) -> Close:
    clusters = " ".join(map(str, join.left + join.right))
    folder = "RUN" if run.folder is None else shlex.quote(str(run.folder))
    command = f"jaxdc edit {folder} --merge {clusters}"
    return Close(_group(run, join.left), _group(run, join.right), join.height, command)


def _group(run: Run, clusters: tuple[int, ...]) -> str:
    return ", ".join(run.name_of(c) for c in clusters)

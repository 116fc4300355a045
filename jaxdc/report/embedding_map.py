"""The embedding in two dimensions: a dot per sample in the colour of its cluster, and a description in words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxdc.describe import cluster_means
from jaxdc.report.contents import Run
from jaxdc.report.pictures import TILES, Sheet, sheet, thumbnails
from jaxdc.report.projections import Projection, projections, sampled
from jaxdc.report.templates import Section, section
from jaxdc.report.text import cut

SIDE = 1000  # of the drawing, in its own units
MARGIN = 30
TEXT = 160  # characters of a text that a dot shows
LABEL_ROOM = 46  # two cluster numbers are no nearer to each other than this
MANY = 40  # clusters; the numbers of more are small, and left out on a phone
NEEDS = ("labels", "embeddings")
HEADING = {"anchor": "map", "link": "Map", "title": "Map of the embedding"}


class Drawing(NamedTuple):
    """A map, ready to draw.

    Attributes:
      name: name of the projection.
      about: what a reader should know of it.
      paths: cluster and ``d`` of one path each, a stroke of no length for each dot: a tenth of what circles take.
      numbers: cluster and where its number stands.
    """

    name: str
    about: str
    paths: list[tuple[int, str]]
    numbers: list[tuple[int, int, int]]


class Neighbors(NamedTuple):
    """A cluster, its nearest clusters with their distances, and how far its members are from its centre."""

    cluster: int
    nearest: list[tuple[int, float]]
    spread: float


def embedding_map(run: Run, *, n_points: int, umap: bool) -> Section:
    """The section, with at most ``n_points`` samples."""
    if run.labels is None or run.embeddings is None:
        return section(**HEADING, notes=[run.missing[part] for part in NEEDS if part in run.missing])
    rows = sampled(len(run.labels), n_points)
    rows = rows[np.isfinite(run.embeddings[rows]).all(axis=1)]
    if not len(rows):
        told = "No sample has an embedding of finite numbers, so there is nothing to draw."
        return section(**HEADING, notes=[told])
    rows = rows[np.argsort(run.labels[rows], kind="stable")]
    labels = run.labels[rows]
    found = projections(run.embeddings[rows], umap=umap)
    are_all = len(rows) == len(run.labels)
    told = f"All {len(rows):,} samples" if are_all else f"{len(rows):,} of {len(run.labels):,} samples"
    notes = [f"{told}, a dot each, in the colour and under the number of their cluster."]
    if (labels < 0).any():
        notes.append("Grey dots are in no cluster.")
    if len(found) == 1:
        notes.append("They are too few or too much alike for t-SNE, so there is PCA alone.")
    content, style = _samples(run, rows)
    return section(
        "map.html",
        **HEADING,
        notes=notes,
        style=style,
        drawings=[_drawing(projection, labels) for projection in found],
        side=SIDE,
        clusters=[(c, title_of(run, c)) for c in np.unique(labels).tolist()],
        many=MANY,
        n_samples=len(rows),
        neighbors=_neighbors(run),
        samples=content,
    )


def _drawing(projection: Projection, labels: np.ndarray) -> Drawing:
    xy = fitted(projection.places)
    paths = [(c, "".join(f"M{x} {y}h0" for x, y in xy[labels == c].tolist())) for c in np.unique(labels).tolist()]
    return Drawing(projection.name, projection.about, paths, _numbers(xy, labels))


def fitted(places: np.ndarray) -> np.ndarray:
    """Integer coordinates within the drawing, with the same scale on both axes."""
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max()) or 1.0
    middle = (places - ((low + high) / 2)[None, :]) / span * (SIDE - 2 * MARGIN)
    return np.round(SIDE / 2 + middle * [[1, -1]]).astype(int)


def _numbers(xy: np.ndarray, labels: np.ndarray) -> list[tuple[int, int, int]]:
    """Positions of the clusters' numbers: at the dot nearest to the median; smaller clusters give way."""
    clusters, sizes = np.unique(labels, return_counts=True)
    placed: list[tuple[int, int, int]] = []
    for c in clusters[np.argsort(-sizes, kind="stable")].tolist():
        if c < 0:
            continue
        own = xy[labels == c]
        middle = np.median(own, axis=0)
        x, y = own[np.argmin(np.abs(own - middle[None, :]).sum(axis=1))].tolist()
        if all(abs(x - a) > LABEL_ROOM or abs(y - b) > LABEL_ROOM for _, a, b in placed):
            placed.append((c, x, y))
    return placed


def title_of(run: Run, cluster: int) -> str:
    """The cluster of a dot, in words."""
    return "in no cluster" if cluster < 0 else f"cluster {run.name_of(cluster)}"


def _samples(run: Run, rows: np.ndarray) -> tuple[dict[str, Any], str]:
    """What each dot shows, in order, and the style rule that holds their pictures."""
    assert run.labels is not None
    _, names = run.without_folder()
    content: dict[str, Any] = {
        "names": [str(row) if names is None else str(names[row]) for row in rows.tolist()],
        "clusters": run.labels[rows].tolist(),
        "titles": {str(c): title_of(run, c) for c in np.unique(run.labels[rows]).tolist()},
    }
    if run.probabilities is not None:
        content["confidence"] = np.round(100 * run.probabilities[rows].max(axis=1)).astype(int).tolist()
    if run.labels_true is not None:
        content["classes"] = [str(run.labels_true[row]) for row in rows.tolist()]
    if run.texts is not None:
        content["texts"] = [cut(str(run.texts[row]), TEXT) for row in rows.tolist()]
    if run.read is None:
        return content, ""
    made = thumbnails(run.read, rows.tolist(), TILES[0])
    whole: Sheet = sheet([made[row] for row in rows.tolist()])
    content["sheet"] = {"columns": whole.columns, "rows": whole.n_rows, "tile": whole.tile}
    return content, f".sample{{background-image:url({whole.address})}}"


def _neighbors(run: Run) -> list[Neighbors]:
    """The map in words, for readers who can't see it: which clusters are neighbours; empty for one cluster."""
    assert run.labels is not None and run.embeddings is not None
    means = cluster_means(run.embeddings, run.labels, run.n_clusters)
    present = [c for c in range(run.n_clusters) if np.isfinite(means[c]).all()]
    if len(present) < 2:
        return []
    found, own = [], means[present]
    for i, c in enumerate(present):
        apart = np.linalg.norm(own - own[i][None, :], axis=1)
        order = [j for j in np.argsort(apart, kind="stable").tolist() if j != i][:3]
        spread = np.linalg.norm(run.embeddings[run.labels == c] - own[i][None, :], axis=1).mean()
        found.append(Neighbors(c, [(present[j], float(apart[j])) for j in order], float(spread)))
    return found

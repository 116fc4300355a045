"""The embedding in two dimensions: a dot a sample, in the colour of its cluster, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxdc.describe import cluster_means
from jaxdc.report.contents import Run
from jaxdc.report.markup import cut, escaped, json_script, note, scrolled, section, table
from jaxdc.report.pictures import TILES, Sheet, sheet, thumbnails
from jaxdc.report.projections import Projection, projections, sampled

SIDE = 1000  # of the drawing, in its own units
MARGIN = 30
TEXT = 160  # characters of a text that a dot shows
LABEL_ROOM = 46  # two cluster numbers are no nearer to each other than this
MANY = 40  # clusters; the numbers of more are small, and left out on a phone
NEEDS = ("labels", "embeddings")


def embedding_map(run: Run, *, n_points: int, umap: bool, notes: Sequence[str] = ()) -> str:
    """The section, of at most ``n_points`` samples; ``notes`` say what is missing."""
    title = "Map of the embedding"
    missing = [note(run.missing[part]) for part in NEEDS if part in run.missing]
    if run.labels is None or run.embeddings is None:
        return section("map", title, *missing)
    rows = sampled(len(run.labels), n_points)
    rows = rows[np.isfinite(run.embeddings[rows]).all(axis=1)]
    if not len(rows):
        return section(
            "map", title, note("No sample has an embedding of finite numbers, so there is nothing to draw.")
        )
    rows = rows[np.argsort(run.labels[rows], kind="stable")]
    found = projections(run.embeddings[rows], umap=umap)
    told = (
        f"{len(rows):,} of {len(run.labels):,} samples"
        if len(rows) < len(run.labels)
        else f"all {len(rows):,} samples"
    )
    parts = [
        note(f"{told[0].upper()}{told[1:]}, a dot each, in the colour and under the number of their cluster.")
    ]
    if len(found) == 1:
        parts.append(note("They are too few or too much alike for t-SNE, so there is PCA alone."))
    parts += map(note, notes)
    drawings = "".join(_drawing(p, run.labels[rows], shown=p is found[0]) for p in found)
    how = "Point at a dot, tap one, or move among them by the arrow keys."
    spot = f'<div class="readout" aria-live="polite"><p>{how}</p></div>'
    parts += [_controls(run, rows, found), f'<div class="map">{drawings}{spot}</div>', _in_words(run)]
    return section("map", title, *parts, *_samples(run, rows))


def _controls(run: Run, rows: np.ndarray, found: Sequence[Projection]) -> str:
    choices = "".join(
        f'<label><input type="radio" name="projection" value="{i}"{" checked" if i == 0 else ""}> {p.name}</label>'
        for i, p in enumerate(found)
    )
    present = np.unique(run.labels[rows]).tolist() if run.labels is not None else []
    clusters = "".join(f'<option value="{c}">cluster {c}</option>' for c in present)
    return (
        f'<form class="controls"><fieldset><legend>Projection</legend>{choices}</fieldset>'
        f'<label>Show <select id="only"><option value="">all clusters</option>{clusters}</select></label></form>'
    )


def _drawing(projection: Projection, labels: np.ndarray, *, shown: bool) -> str:
    """One path a cluster, a stroke of no length for each dot: a tenth of what circles take."""
    xy = _fitted(projection.places)
    present = np.unique(labels)
    paths = []
    for c in present.tolist():
        dots = "".join(f"M{x} {y}h0" for x, y in xy[labels == c].tolist())
        paths.append(f'<path class="k{c}" data-c="{c}" d="{dots}"/>')
    texts = "".join(f'<text x="{x}" y="{y}" data-c="{c}">{c}</text>' for c, x, y in _numbers(xy, labels))
    many = " many" if len(present) > MANY else ""
    label = f"Map by {projection.name} of {len(labels):,} samples in {len(present):,} clusters; arrow keys move"
    return (
        f'<figure class="drawing"{"" if shown else " hidden"}><svg viewBox="0 0 {SIDE} {SIDE}" tabindex="0" '
        f'role="application" aria-label="{escaped(label)}">{"".join(paths)}<g class="numbers{many}">{texts}</g>'
        f'<circle class="ring" r="16" hidden></circle></svg>'
        f"<figcaption>{escaped(projection.name)}: {escaped(projection.about)}.</figcaption></figure>"
    )


def _fitted(places: np.ndarray) -> np.ndarray:
    """Whole numbers within the drawing, both axes of one scale."""
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max()) or 1.0
    middle = (places - ((low + high) / 2)[None, :]) / span * (SIDE - 2 * MARGIN)
    return np.round(SIDE / 2 + middle * [[1, -1]]).astype(int)


def _numbers(xy: np.ndarray, labels: np.ndarray) -> list[tuple[int, int, int]]:
    """Where the numbers of clusters stand: at the dot nearest to the median; a smaller cluster's gives way."""
    clusters, sizes = np.unique(labels, return_counts=True)
    placed: list[tuple[int, int, int]] = []
    for c in clusters[np.argsort(-sizes, kind="stable")].tolist():
        own = xy[labels == c]
        middle = np.median(own, axis=0)
        x, y = own[np.argmin(np.abs(own - middle[None, :]).sum(axis=1))].tolist()
        if all(abs(x - a) > LABEL_ROOM or abs(y - b) > LABEL_ROOM for _, a, b in placed):
            placed.append((c, x, y))
    return placed


def _samples(run: Run, rows: np.ndarray) -> list[str]:
    """What the dots show, in their order."""
    assert run.labels is not None
    _, names = run.without_folder()
    content: dict = {
        "names": [str(row) if names is None else str(names[row]) for row in rows.tolist()],
        "clusters": run.labels[rows].tolist(),
    }
    if run.probabilities is not None:
        content["confidence"] = np.round(100 * run.probabilities[rows].max(axis=1)).astype(int).tolist()
    if run.labels_true is not None:
        content["classes"] = [str(run.labels_true[row]) for row in rows.tolist()]
    if run.texts is not None:
        content["texts"] = [cut(str(run.texts[row]), TEXT) for row in rows.tolist()]
    parts = []
    if run.read is not None:
        made = thumbnails(run.read, rows.tolist(), TILES[0])
        whole: Sheet = sheet([made[row] for row in rows.tolist()])
        content["sheet"] = {"columns": whole.columns, "rows": whole.n_rows, "tile": whole.tile}
        parts.append(f"<style>.sample{{background-image:url({whole.address})}}</style>")
    return [*parts, json_script("samples", content)]


def _in_words(run: Run) -> str:
    """The map for those who can't see it: which clusters lie beside each other."""
    assert run.labels is not None and run.embeddings is not None
    means = cluster_means(run.embeddings, run.labels, run.n_clusters)
    present = [c for c in range(run.n_clusters) if np.isfinite(means[c]).all()]
    if len(present) < 2:
        return ""
    rows, own = [], means[present]
    for i, c in enumerate(present):
        apart = np.linalg.norm(own - own[i][None, :], axis=1)
        order = [j for j in np.argsort(apart, kind="stable").tolist() if j != i][:3]
        spread = np.linalg.norm(run.embeddings[run.labels == c] - own[i][None, :], axis=1).mean()
        near = ", ".join(f'<a href="#c{present[j]}">{present[j]}</a> ({apart[j]:.3g})' for j in order)
        rows.append((f'<a href="#c{c}">{c}</a>', near, f"{spread:.3g}"))
    head = ("cluster", "nearest clusters (distance of the means)", "mean distance of its members from its mean")
    words = "The map in words"
    told = note("In the embedding itself, not in the drawing.")
    return f"<details><summary>{words}</summary>{told}{scrolled(words, table(head, rows))}</details>"

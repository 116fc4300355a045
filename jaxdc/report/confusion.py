"""Classes against clusters, where there are classes: the clusters in the order of their best match."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np

from jaxdc.report.contents import Run
from jaxdc.report.markup import escaped, name, note, scrolled, section, table

MOST_CELLS = 30  # classes, or clusters, of a table; more of them are drawn
LISTED = 10  # most frequent mistakes


class Confusion(NamedTuple):
    """How many samples of each class are in each cluster.

    Attributes:
      counts: ``[classes, clusters]``; the i-th cluster is matched to the i-th class while both last.
      classes: their names, those that no cluster is matched to at the end.
      clusters: their numbers; those without a class at the end, the largest first, empty ones left out.
      n_matched: how many are matched.
    """

    counts: np.ndarray
    classes: list[str]
    clusters: list[int]
    n_matched: int


def confusion_of(labels_true: np.ndarray, labels: np.ndarray) -> Confusion:
    """The table of two labellings ``[n]``, put in order by the best one-to-one match, that of ACC."""
    from scipy.optimize import linear_sum_assignment

    classes, rows = np.unique(labels_true, return_inverse=True)
    clusters, columns = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(classes), len(clusters)), np.int64)
    np.add.at(counts, (rows, columns), 1)
    matched, to = linear_sum_assignment(counts, maximize=True)
    rest = np.setdiff1d(np.arange(len(clusters)), to)
    rest = rest[np.argsort(-counts[:, rest].sum(axis=0), kind="stable")]
    down = [*matched.tolist(), *np.setdiff1d(np.arange(len(classes)), matched).tolist()]
    across = [*to.tolist(), *rest.tolist()]
    names = [str(classes[i]) for i in down]
    return Confusion(counts[np.ix_(down, across)], names, [int(clusters[i]) for i in across], len(to))


def confusion(run: Run) -> str:
    """The section; nothing where there are no classes to speak of."""
    scored = run.metrics is not None and run.metrics.get("acc") is not None
    if run.labels_true is None or run.labels is None:
        why = next((run.missing[part] for part in ("labels", "samples") if part in run.missing), None)
        if not scored or why is None:
            return ""
        return section("confusion", "Classes and clusters", note(f"The classes are not at hand. {why}"))
    found = confusion_of(run.labels_true, run.labels)
    total, right = int(found.counts.sum()), int(np.trace(found.counts[: found.n_matched, : found.n_matched]))
    told = (
        f"Of {total:,} samples {right:,} ({right / total:.1%}) are in the cluster that is matched to their class: "
        "each cluster stands for at most one class (Hungarian algorithm). The classes did not enter training."
    )
    drawn = _picture if max(found.counts.shape) > MOST_CELLS else _table
    return section("confusion", "Classes and clusters", note(told), drawn(found), _mistakes(found))


def _table(found: Confusion) -> str:
    of_class = np.maximum(found.counts.sum(axis=1), 1)
    rows = []
    for i, (class_, line) in enumerate(zip(found.classes, found.counts.tolist(), strict=True)):
        cells = [
            f'<span class="cell{" match" if i == j < found.n_matched else ""}" '
            f'style="--share:{count / of_class[i]:.3f}">{count or "·"}</span>'
            for j, count in enumerate(line)
        ]
        rows.append([name(class_), *cells])
    head = ["class / cluster", *map(str, found.clusters)]
    made = table(head, rows, caption="Samples of each class (rows) in each cluster (columns); matches are framed.")
    return scrolled("Classes and clusters", f'<div class="confusion">{made}</div>')


def _picture(found: Confusion) -> str:
    """Too many cells to read: the share of a class in a cluster as a spot of that strength."""
    from PIL import Image

    share = found.counts / np.maximum(found.counts.sum(axis=1, keepdims=True), 1)
    alpha = np.round(255 * np.sqrt(share)).astype(np.uint8)
    color = np.broadcast_to(np.array([[[58, 123, 213]]], np.uint8), (*alpha.shape, 3))
    file = io.BytesIO()
    Image.fromarray(np.concatenate([color, alpha[..., None]], axis=2), "RGBA").save(file, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    n_classes, n_clusters = found.counts.shape
    about = (
        f"{n_classes} classes, from top to bottom, and {n_clusters} clusters, from left to right, in the order of "
        "their match: the stronger a spot, the larger the share of the class; what is right is on the diagonal"
    )
    image = f'<img class="matrix" src="{address}" alt="{escaped(about)}">'
    return f"<figure>{image}<figcaption>{escaped(about[0].upper() + about[1:])}.</figcaption></figure>"


def _mistakes(found: Confusion) -> str:
    wrong = found.counts.copy()
    diagonal = np.arange(found.n_matched)
    wrong[diagonal, diagonal] = 0
    order = np.argsort(-wrong, axis=None, kind="stable")[:LISTED]
    rows = []
    for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[i, j] == 0:
            break
        c = found.clusters[j]
        there = f'<a href="#c{c}">cluster {c}</a>'
        meant = (
            f"{there}, matched to {name(found.classes[j])}" if j < found.n_matched else f"{there}, without a class"
        )
        rows.append((name(found.classes[i]), meant, f"{wrong[i, j]:,}"))
    if not rows:
        return note("Every sample is in the cluster of its class.")
    title = "Most frequent mistakes"
    return f"<h3>{title}</h3>{scrolled(title, table(('class', 'is in', 'samples'), rows))}"

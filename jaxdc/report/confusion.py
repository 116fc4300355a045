"""The table of classes against clusters, if there are classes; each cluster stands under its best match."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np

from jaxdc.report.contents import Run
from jaxdc.report.templates import Section, section

MOST_CELLS = 30  # classes, or clusters, of a table; more of them are drawn
LISTED = 10  # most frequent mistakes
HEADING = {"anchor": "confusion", "link": "Classes", "title": "Classes and clusters"}


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


class Cell(NamedTuple):
    """A cell: number of samples, their share of the class in percent, whether class and cluster are matched."""

    n_samples: int
    percent: int
    is_match: bool


class Mistake(NamedTuple):
    """Samples of a class in a cluster that is matched to another class, or to none (None)."""

    class_: str
    cluster: int
    matched: str | None
    n_samples: int


def confusion_of(labels_true: np.ndarray, labels: np.ndarray) -> Confusion:
    """The contingency table of two labellings ``[n]``, ordered by the one-to-one match that ACC uses."""
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


def confusion(run: Run) -> Section | None:
    """The section; None if there are no classes."""
    scored = run.metrics is not None and run.metrics.get("acc") is not None
    if run.labels_true is None or run.labels is None:
        why = next((run.missing[part] for part in ("labels", "samples") if part in run.missing), None)
        if not scored or why is None:
            return None
        return section(**HEADING, notes=[f"The classes are not at hand. {why}"])
    kept = run.labels >= 0
    if not kept.any():
        return None
    found = confusion_of(run.labels_true[kept], run.labels[kept])
    total, right = int(found.counts.sum()), int(np.trace(found.counts[: found.n_matched, : found.n_matched]))
    told = (
        f"Of {total:,} samples {right:,} ({right / total:.1%}) are in the cluster that is matched to their class: "
        "each cluster stands for at most one class (Hungarian algorithm). The classes did not enter training."
    )
    drawn = max(found.counts.shape) > MOST_CELLS
    rows = [] if drawn else _rows(found)
    percents = sorted({cell.percent for _, cells in rows for cell in cells})
    return section(
        "confusion.html",
        **HEADING,
        notes=[told],
        style="".join(f".s{percent}{{--share:{percent}%}}" for percent in percents),
        rows=rows,
        clusters=found.clusters,
        n_classes=len(found.classes),
        picture=_picture(found) if drawn else "",
        mistakes=_mistakes(found),
    )


def _rows(found: Confusion) -> list[tuple[str, list[Cell]]]:
    percents = np.rint(100 * _shares(found)).astype(int).tolist()
    return [
        (class_, [Cell(n, percents[i][j], i == j < found.n_matched) for j, n in enumerate(counts)])
        for i, (class_, counts) in enumerate(zip(found.classes, found.counts.tolist(), strict=True))
    ]


def _picture(found: Confusion) -> str:
    """The table as an image, for too many cells to read: darker spots are larger shares of the class."""
    from PIL import Image

    alpha = np.round(255 * np.sqrt(_shares(found))).astype(np.uint8)
    color = np.broadcast_to(np.array([[[58, 123, 213]]], np.uint8), (*alpha.shape, 3))
    file = io.BytesIO()
    Image.fromarray(np.concatenate([color, alpha[..., None]], axis=2), "RGBA").save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _shares(found: Confusion) -> np.ndarray:
    """Share of each class in each cluster ``[classes, clusters]``."""
    return found.counts / np.maximum(found.counts.sum(axis=1, keepdims=True), 1)


def _mistakes(found: Confusion) -> list[Mistake]:
    """The most frequent ones."""
    wrong = found.counts.copy()
    diagonal = np.arange(found.n_matched)
    wrong[diagonal, diagonal] = 0
    order = np.argsort(-wrong, axis=None, kind="stable")[:LISTED]
    listed = []
    for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[i, j] == 0:
            break
        matched = found.classes[j] if j < found.n_matched else None
        listed.append(Mistake(found.classes[i], found.clusters[j], matched, int(wrong[i, j])))
    return listed

"""Loss and health as the run went: small line charts, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdc.report.charts import Chart, line_chart, thinned
from jaxdc.report.contents import Run
from jaxdc.report.templates import Section, section
from jaxdc.report.text import number
from jaxdc.runs.config import title_of

HEADING = {"anchor": "curves", "link": "Curves", "title": "Loss and health"}
NO_CURVES = {"stage", "step", "n_steps", "images_per_second"}
HEALTH = {
    "active_clusters": "clusters that have a sample",
    "occupancy_entropy": "evenness of the cluster sizes: 1 when all are of one size",
    "largest_cluster": "share of the samples in the largest cluster",
    "churn": "share of the samples that changed cluster",
    "nmi_before": "NMI with the assignment before",
    "knn_accuracy": "kNN accuracy of the features: half of each class votes on the other half",
    "acc": "ACC",
    "nmi": "NMI",
    "ari": "ARI",
}
POINTS = 240  # of a line; a point is the mean of those that it stands for
ROWS = 12  # of the table of a curve


class Curve(NamedTuple):
    """Values of one figure in one stage."""

    stage: int
    figure: str
    steps: np.ndarray
    values: np.ndarray


class Figure(NamedTuple):
    """A curve to look at: a caption, the chart, and some of its numbers."""

    title: str
    told: str
    about: str
    chart: Chart
    numbers: list[tuple[str, str]]


def curves(run: Run) -> Section:
    """The section."""
    if "history" in run.missing:
        return section(**HEADING, notes=[run.missing["history"]])
    found = curves_in(run.history)
    if not found:
        return section(**HEADING, notes=["This method takes no steps, so there is nothing to draw."])
    scored = any(curve.figure == "acc" for curve in found)
    names = [title_of(stage["method"]) for stage in run.config["run"]["stages"]]
    stages = []
    for stage in sorted({curve.stage for curve in found}):
        title = f"Stage {stage}: {names[stage - 1]}" if stage <= len(names) else f"Stage {stage}"
        stages.append((title, [_figure(curve) for curve in found if curve.stage == stage]))
    told = ["ACC, NMI and ARI were taken as the run went; training did not see them."] if scored else []
    return section("curves.html", **HEADING, notes=told, stages=stages)


def curves_in(history: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """Curves of two points and more: the losses of each stage, then its health. Equal ones are there once."""
    points: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for row in history:
        for figure, value in row.items():
            is_number = isinstance(value, int | float) and np.isfinite(value)
            if is_number and figure not in NO_CURVES and not figure.endswith("_bytes"):
                points.setdefault((row["stage"], figure), []).append((row["step"], value))
    order = ["loss", *HEALTH]

    def place(key: tuple[int, str]) -> tuple:
        stage, figure = key
        if figure not in order:
            return stage, 0, 1  # parts of the loss, beside it
        return stage, order.index(figure), 0

    found: list[Curve] = []
    for stage, figure in sorted(points, key=place):
        steps, values = np.array(points[stage, figure], np.float64).T
        same = [c for c in found if c.stage == stage and c.figure == "loss" and np.array_equal(c.values, values)]
        if len(steps) > 1 and not same:
            found.append(Curve(stage, figure, steps, values))
    return found


def _figure(curve: Curve) -> Figure:
    title = curve.figure.replace("_", " ")
    about = HEALTH.get(curve.figure, "")
    if about.lower() == title.lower():
        title, about = about, ""
    first, last = number(curve.values[0]), number(curve.values[-1])
    told = f"{first} at step {number(curve.steps[0])}, {last} at step {number(curve.steps[-1])}"
    label = f"{title}: {told}; from {number(curve.values.min())} to {number(curve.values.max())}"
    ends = [(step, f"step {number(step)}") for step in (curve.steps[0], curve.steps[-1])]
    chart = line_chart(*thinned(curve.steps, curve.values, POINTS), label=label, below=ends)
    rows = zip(*thinned(curve.steps, curve.values, ROWS), strict=True)
    return Figure(title, told, about, chart, [(number(step), number(value)) for step, value in rows])

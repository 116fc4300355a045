"""A small line chart: what ``templates/chart.html`` draws as SVG."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from jaxdc.report.text import number

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 22  # margins, for the marks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """Where everything stands, in units of the drawing.

    Attributes:
      label: all of it in words.
      marks: marks of the y axis: distance from the top, and text.
      below: marks of the x axis: how far across, ``text-anchor``, and what is written.
      line: corners of the line, as ``points`` takes them.
      band: corners of the area around it, or "".
      dots: style, how far across and down, and radius.
      line_at: how far across a vertical line stands, or None.
    """

    label: str
    marks: Sequence[tuple[float, str]]
    below: Sequence[tuple[float, str, str]]
    line: str
    band: str
    dots: Sequence[tuple[str, float, float, float]]
    line_at: float | None

    width: ClassVar[int] = WIDTH
    height: ClassVar[int] = HEIGHT
    left: ClassVar[int] = LEFT
    right: ClassVar[int] = WIDTH - RIGHT
    top: ClassVar[int] = TOP
    bottom: ClassVar[int] = HEIGHT - BOTTOM


def line_chart(
    x: np.ndarray,
    y: np.ndarray,
    *,
    label: str,
    below: Sequence[tuple[float, str]],
    spread: np.ndarray | None = None,
    dots: Iterable[tuple[int, str]] = (),
    line_at: float | None = None,
) -> Chart:
    """A line through points, and what is drawn beside it.

    Args:
      x: where the points are ``[n]``, rising.
      y: their values ``[n]``.
      label: all of it in words, for who does not see it.
      below: marks of the x axis; the first and the last are kept within the chart.
      spread: half the width of a band around the line ``[n]``.
      dots: points that get a dot, and the style of each: "best" or "good".
      line_at: where on the x axis a vertical line stands.
    """
    around = np.zeros(len(y)) if spread is None else spread
    low, high = float((y - around).min()), float((y + around).max())
    if high - low < 1e-9 * max(abs(high), 1e-9):
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    begin, end = float(x[0]), float(x[-1])
    across = LEFT + (np.asarray(x, np.float64) - begin) / ((end - begin) or 1.0) * (WIDTH - LEFT - RIGHT)

    def down(values: np.ndarray | float) -> np.ndarray:
        return TOP + (high - np.asarray(values, np.float64)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def place(at: float) -> float:
        return float(np.interp(at, x, across))

    def anchor(i: int) -> str:
        return "start" if i == 0 else "end" if i == len(below) - 1 else "middle"

    edge = []
    if spread is not None:
        edge += zip(across, down(y + spread), strict=True)
        edge += reversed([*zip(across, down(y - spread), strict=True)])
    return Chart(
        label=label,
        marks=[(float(down(mark)), number(round(mark, 12))) for mark in marks(low, high)],
        below=[(place(mark), anchor(i), text) for i, (mark, text) in enumerate(below)],
        line=_points(zip(across, down(y), strict=True)),
        band=_points(edge),
        dots=[(style, across[i], float(down(y[i])), 5 if style == "best" else 3.5) for i, style in dots],
        line_at=None if line_at is None else place(line_at),
    )


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in places)


def thinned(steps: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """At most n points, the last value of each stretch's steps and the mean of its values."""
    if len(steps) <= n:
        return steps, values
    parts = np.array_split(np.arange(len(steps)), n)
    return np.array([steps[p[-1]] for p in parts]), np.array([values[p].mean() for p in parts])


def marks(low: float, high: float, n: int = 4) -> list[float]:
    """Round numbers from low to high, about n of them."""
    if high <= low:
        return [low]
    rough = (high - low) / n
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first = np.ceil(low / step - 1e-9)
    return [float(i * step) for i in np.arange(first, np.floor(high / step + 1e-9) + 1)]

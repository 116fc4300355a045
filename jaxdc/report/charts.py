"""A small line chart, drawn as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from jaxdc.report.markup import escaped, number

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 22  # margins, for the marks


def line_chart(
    x: np.ndarray,
    y: np.ndarray,
    *,
    label: str,
    below: Sequence[tuple[float, str]],
    spread: np.ndarray | None = None,
    dots: Iterable[tuple[int, str]] = (),
    line_at: float | None = None,
) -> str:
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

    drawn = []
    for mark in marks(low, high):
        drawn.append(f'<path class="grid" d="M{LEFT} {down(mark):.1f}H{WIDTH - RIGHT}"/>')
        drawn.append(
            f'<text x="{LEFT - 5}" y="{down(mark) + 4:.1f}" text-anchor="end">{number(round(mark, 12))}</text>'
        )
    for i, (mark, text) in enumerate(below):
        anchor = "start" if i == 0 else "end" if i == len(below) - 1 else "middle"
        drawn.append(f'<text x="{place(mark):.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">{escaped(text)}</text>')
    if spread is not None:
        edge = [*zip(across, down(y + spread), strict=True)]
        edge += reversed([*zip(across, down(y - spread), strict=True)])
        drawn.append(f'<polygon class="band" points="{_points(edge)}"/>')
    if line_at is not None:
        drawn.append(f'<path class="line-at" d="M{place(line_at):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    drawn.append(f'<polyline class="line" points="{_points(zip(across, down(y), strict=True))}"/>')
    for i, style in dots:
        radius = 5 if style == "best" else 3.5
        drawn.append(f'<circle class="{style}" cx="{across[i]:.1f}" cy="{down(y[i]):.1f}" r="{radius}"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(label)}">{"".join(drawn)}</svg>'


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

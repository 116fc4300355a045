"""What is lost where samples become float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LARGEST = 1e15  # squares of larger values, and of smaller ones than its inverse, soon leave the range of float32
COARSEST = 1e-3  # the share of a column's deviation that a rounding may be


def what_float32_loses(given: np.ndarray, x: np.ndarray, columns: Sequence[str] | None = None) -> str:
    """What float32 loses of samples, in words; "" if it holds what they say.

    Args:
      given: samples ``[n, ...]`` as they were given.
      x: the same in float32.
      columns: names of the columns of a matrix.

    Returns:
      The first of these: values whose squares overflow or vanish; a column of a matrix whose values differ by less
      than a few roundings, such as seconds since 1970; a constant column beside which the others are rounding.
    """
    largest = float(np.abs(given).max())
    if largest > LARGEST or 0 < largest < 1 / LARGEST:
        too = "large" if largest > 1 else "small"
        return f"its values, up to {largest:.3g}, are too {too} for distances in float32"
    if given.ndim != 2 or given.dtype.kind == "b":
        return ""
    deviation = given.std(axis=0, dtype=np.float64)
    rounding = np.spacing(np.abs(x).max(axis=0)).astype(np.float64)
    blurred = (deviation > 0) & (rounding > COARSEST * deviation)
    drowning = (deviation == 0) & (rounding > COARSEST * deviation.max()) & (deviation.max() > 0)
    found = np.flatnonzero(blurred | drowning)
    if not len(found):
        return ""
    i = int(found[0])
    column = f"column {i}" if columns is None else f'column "{columns[i]}"'
    if blurred[i]:
        return f"{column}, with values near {float(given[0, i]):.4g}, varies by less than float32 can tell apart"
    return f"{column} is {float(given[0, i]):.3g} in every row, beside which float32 loses the other columns"

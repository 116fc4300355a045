"""Pads texts of different lengths into one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def padded(tokens: Sequence[Sequence[int]], length: int, n_rows: int | None = None) -> np.ndarray:
    """Token ids as int32 ``[n_rows, length]``, padded with zeros."""
    ids = np.zeros((n_rows or len(tokens), length), np.int32)
    for i, row in enumerate(tokens):
        ids[i, : len(row)] = row
    return ids

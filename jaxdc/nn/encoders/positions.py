"""Position embeddings for another number of patches, resized as PyTorch resizes pictures."""

from __future__ import annotations

import math

import numpy as np

from jaxdc.errors import InputError


def resized(positions: np.ndarray, n_other: int, side: int, *, antialias: bool) -> np.ndarray:
    """Bicubic, separable, in float32; those of tokens that are no patches, the first ``n_other``, stay.

    Args:
      positions: ``[n_other + m * m, d]`` of a grid of m x m patches.
      n_other: number of positions of the class token, 0 or 1.
      side: patches along each side of the new grid.
      antialias: widen the kernel where the grid shrinks.
    """
    other, grid = positions[:n_other], positions[n_other:]
    before = math.isqrt(len(grid))
    if before * before != len(grid):
        raise InputError(f"the position embeddings are of {len(grid)} patches, which are no square")
    if before == side:
        return positions
    along = interpolation(before, side, antialias=antialias)
    grid = grid.reshape(before, before, -1)
    grid = np.einsum("ih,jw,hwd->ijd", along, along, grid, optimize=True)
    return np.concatenate([other, grid.reshape(side * side, -1).astype(np.float32)])


def interpolation(n_in: int, n_out: int, *, antialias: bool) -> np.ndarray:
    """Weights ``[n_out, n_in]`` of PyTorch's bicubic interpolation along one axis, corners not aligned.

    Without antialiasing the cubic has a = -0.75 and what is beyond the border repeats its last value; with it,
    a = -0.5, the kernel is as wide as the step, and weights beyond the border are left out.
    """
    scale = n_in / n_out
    centers = (np.arange(n_out) + 0.5) * scale
    weights = np.zeros((n_out, n_in))
    if antialias:
        width = max(scale, 1.0)
        for i, center in enumerate(centers):
            columns = np.arange(max(int(center - 2 * width + 0.5), 0), min(int(center + 2 * width + 0.5), n_in))
            values = _cubic((columns + 0.5 - center) / width, a=-0.5)
            weights[i, columns] = values / values.sum()
        return weights
    for i, center in enumerate(centers - 0.5):
        columns = math.floor(center) + np.arange(-1, 3)
        np.add.at(weights[i], np.clip(columns, 0, n_in - 1), _cubic(columns - center, a=-0.75))
    return weights


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel (1981), equation (4) with a free parameter."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))

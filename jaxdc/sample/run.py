"""New samples of the clusters of a run, as a picture or a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc import csv_tables
from jaxdc.errors import InputError
from jaxdc.runs import load
from jaxdc.settings import integer, seed_of
from jaxdc.writing import full_disk_is_an_input_error, replacing

SUFFIXES = (".png", ".csv", ".npy", ".npz")
MOST = 100_000  # samples, all of which are in memory at once
GAP = 1  # pixels between pictures


def sample_run(
    folder: str | Path,
    clusters: Sequence[int] = (),
    *,
    count: int = 16,
    output: str | Path | None = None,
    seed: int = 0,
) -> Path:
    """Draws new samples of clusters from a run's model, and writes them to a file.

    Args:
      folder: folder of a finished run of a method with a distribution for each cluster, such as VaDE.
      clusters: numbers of the clusters; none: all of them.
      count: samples of each.
      output: file to write, of which the suffix says the format: .png (pictures in a grid, a row for each
        cluster), .npz (arrays ``x`` and ``cluster``), .npy (``x`` alone, in the order of the clusters) or .csv
        (the cluster, then the columns of the table). By default ``samples.png`` in the run folder, or
        ``samples.csv`` if a sample is no image.
      seed: random seed.

    Returns:
      The path of the file.

    Raises:
      InputError: the method can't draw samples, there is no such cluster, or the file can't be written.
    """
    seed = seed_of(seed, "--seed")
    integer("--count", count, at_least=1, at_most=MOST)
    folder = Path(folder)
    result = load(folder)
    shape = result.config["run"]["data"]["shape"]
    is_image = len(shape) == 3 and shape[2] in (1, 3)
    output = Path(output) if output is not None else folder / f"samples.{'png' if is_image else 'csv'}"
    if output.suffix not in SUFFIXES:
        raise InputError(f"--output must end in {', '.join(SUFFIXES)}, but is {output}")
    if output.suffix == ".png" and not is_image:
        raise InputError("the samples of this run are no images: --output must end in .csv, .npy or .npz")
    if output.suffix == ".csv" and len(shape) != 1:
        raise InputError("the samples of this run are images: --output must end in .png, .npy or .npz")
    if not output.absolute().parent.is_dir():
        raise InputError(f"can't write {output.name}: there is no folder {output.absolute().parent}")
    if not clusters:
        clusters = [c for c in range(result.probabilities.shape[1]) if c not in result.edits.removed]
    if count * len(clusters) > MOST:
        raise InputError(f"--count {count} of {len(clusters)} clusters makes more than {MOST:,} samples")
    rows = np.repeat(np.asarray(clusters, np.int32), count)
    x = result.sample(rows.tolist(), seed=seed)
    with full_disk_is_an_input_error(output), replacing(output, "w" if output.suffix == ".csv" else "wb") as file:
        if output.suffix == ".png":
            _write_png(file, x, count if len(clusters) > 1 else math.ceil(math.sqrt(count)))
        elif output.suffix == ".csv":
            _write_csv(file, x, rows, result.config.get("understood", {}).get("columns"))
        elif output.suffix == ".npz":
            np.savez(file, x=x, cluster=rows)
        else:
            np.save(file, x)
    return output


def picture_grid(images: np.ndarray, n_columns: int) -> np.ndarray:
    """Puts images ``[n, h, w, c]`` into a grid, row by row, with a white line of a pixel between them.

    Args:
      images: uint8, or floats from 0 to 1, outside of which they are clipped.
      n_columns: images in a row.

    Returns:
      uint8 ``[height, width, c]``.
    """
    if images.dtype != np.uint8:
        images = np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)
    n, h, w, c = images.shape
    n_rows = -(-n // n_columns)
    grid = np.full((n_rows * (h + GAP) - GAP, n_columns * (w + GAP) - GAP, c), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // n_columns * (h + GAP), i % n_columns * (w + GAP)
        grid[top : top + h, left : left + w] = image
    return grid


def _write_png(file: Any, x: np.ndarray, n_columns: int) -> None:
    from PIL import Image

    grid = picture_grid(x, n_columns)
    Image.fromarray(grid[..., 0] if grid.shape[2] == 1 else grid).save(file, "PNG")


def _write_csv(file: Any, x: np.ndarray, rows: np.ndarray, columns: Sequence[str] | None) -> None:
    names = columns if columns and len(columns) == x.shape[1] else [f"feature_{i}" for i in range(x.shape[1])]
    table = csv_tables.Writer(file, ("cluster", *names))
    for cluster, sample in zip(rows.tolist(), x.tolist(), strict=True):
        table.row((cluster, *sample))

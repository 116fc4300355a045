"""Encoded images (JPEG, PNG, ...) packed into a single ``.npz`` file, read without TensorFlow.

For each split, ``train_jpeg`` holds the concatenated bytes of all images, ``train_offset`` ``[n + 1]`` the start
of each, and ``train_label`` ``[n]``, optionally, the classes. A file with one split may omit the prefix:
``jpeg``, ``offset``, ``label``.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxdc.data.images import check_pixels, decode
from jaxdc.data.sources import ArraySource
from jaxdc.data.splits import choose_splits
from jaxdc.errors import InputError
from jaxdc.reading import check_expansion

BYTES = "jpeg"


def split_names(names: list[str]) -> list[str]:
    """Prefixes of the splits in an archive with these arrays, in order; empty without encoded images."""
    return [name.removesuffix(BYTES) for name in names if name == BYTES or name.endswith(f"_{BYTES}")]


def load_encoded(
    path: Path, archive: Any, *, split: str = "all", image_size: int | None = None, channels: int | None = None
) -> ArraySource:
    """Decodes the images of an open archive into memory.

    Args:
      path: path of the file, for messages.
      archive: result of ``numpy.load``.
      split: ``"all"`` for every split that has labels (for every split, if none has), a name, or several names
        joined by "+". Only labelled splits are reported.
      image_size: height and width to resize images to (default: those of the first image).
      channels: 1 or 3 (default: those of the first image).

    Raises:
      InputError: there is no such split, arrays don't fit together, or an image can't be read.
    """
    by_name = {prefix.rstrip("_"): prefix for prefix in split_names(archive.files)}
    labelled = {name: f"{prefix}label" in archive for name, prefix in by_name.items()}
    names = choose_splits(split, labelled, str(path))
    prefixes = [by_name[name] for name in names]
    files, labels = [], []
    for prefix in prefixes:
        data, offset = archive[f"{prefix}{BYTES}"].tobytes(), _array(path, archive, f"{prefix}offset")
        if offset.dtype.kind == "u":
            offset = offset.astype(np.int64)  # differences of unsigned numbers are never negative
        if (
            offset.ndim != 1
            or offset.dtype.kind != "i"
            or len(offset) < 2
            or offset[0] < 0
            or offset[-1] > len(data)
            or (np.diff(offset) < 1).any()
        ):
            raise InputError(
                f"{path}: {prefix}offset must increase from 0 to at most {len(data)}, the bytes of {prefix}{BYTES}"
            )
        files += [data[a:b] for a, b in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True)]
        if f"{prefix}label" in archive:
            labels.append(archive[f"{prefix}label"])
            if labels[-1].shape != (len(offset) - 1,):
                raise InputError(
                    f"{path}: {prefix}label has shape {labels[-1].shape} for {len(offset) - 1} images"
                )
    n_labelled = sum(map(len, labels))
    size, grey = _head(path, files[0])
    image_size, channels = image_size or size, channels or (1 if grey else 3)

    def read(i: int) -> np.ndarray:
        try:
            return decode(io.BytesIO(files[i]), image_size, channels)
        except Exception as error:  # of which damaged images raise any
            raise InputError(f"{path}: image {i} can't be read ({error})") from error

    n_bytes, held = len(files) * image_size**2 * channels, path.stat().st_size
    check_expansion(n_bytes, held, f"the images of {path} at {image_size} pixels", "pass a smaller --image-size")
    x = np.empty((len(files), image_size, image_size, channels), np.uint8)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i, image in enumerate(pool.map(read, range(len(files)))):
            x[i] = image
    protocol = f"{' + '.join(names)} ({len(files):,} samples)" if any(names) else f"all {len(files):,} samples"
    return ArraySource(
        x,
        np.concatenate(labels) if labels else None,
        name=str(path),
        protocol=protocol,
        n_reported=n_labelled if 0 < n_labelled < len(files) else None,
    )


def _array(path: Path, archive: Any, name: str) -> np.ndarray:
    if name not in archive:
        raise InputError(f"{path} has no array {name}; it holds {', '.join(archive.files)}")
    return archive[name]


def _head(path: Path, data: bytes) -> tuple[int, bool]:
    """Shorter side of the first image, and whether it is grey."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            check_pixels(image, io.BytesIO(data))
            return min(image.size), image.mode == "L"
    except Exception as error:
        raise InputError(f"{path}: image 0 can't be read ({error})") from error

"""Encoded images (JPEG, PNG, ...) packed into a single ``.npz`` file, read without TensorFlow.

For each split, ``train_jpeg`` holds the concatenated bytes of all images, ``train_offset`` ``[n + 1]`` the start
of each, and ``train_label`` ``[n]``, optionally, the classes. A file with one split may omit the prefix:
``jpeg``, ``offset``, ``label``.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxdc.data.deep_images import DEEP_MODES, Extent, divisors_for, extent_of, said_divisors
from jaxdc.data.images import GREY_MODES, check_pixels, decode
from jaxdc.data.sources import ArraySource
from jaxdc.data.splits import choose_splits
from jaxdc.errors import InputError
from jaxdc.reading import check_expansion

BYTES = "jpeg"


def split_names(names: list[str]) -> list[str]:
    """Prefixes of the splits in an archive with these arrays, in order; empty without encoded images."""
    return [name.removesuffix(BYTES) for name in names if name == BYTES or name.endswith(f"_{BYTES}")]


def load_encoded(
    path: Path,
    archive: Any,
    *,
    split: str = "all",
    image_size: int | None = None,
    channels: int | None = None,
    divisors: Mapping[str, float] | None = None,
) -> ArraySource:
    """Decodes the images of an open archive into memory.

    Args:
      path: path of the file, for messages.
      archive: result of ``numpy.load``.
      split: ``"all"`` for every split that has labels (for every split, if none has), a name, or several names
        joined by "+". Only labelled splits are reported.
      image_size: height and width to resize images to (default: those of the first image).
      channels: 1 or 3 (default: those of the first image).
      divisors: as in ``load_folder``.

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

    def extent(i: int) -> Extent | None:
        with _naming(path, i):
            with Image.open(io.BytesIO(files[i])) as image:
                deep = image.mode in DEEP_MODES
            return extent_of(io.BytesIO(files[i])) if deep else None

    def read(i: int) -> np.ndarray:
        with _naming(path, i):
            return decode(io.BytesIO(files[i]), image_size, channels, divisors=chosen)

    n_bytes, held = len(files) * image_size**2 * channels, path.stat().st_size
    check_expansion(n_bytes, held, f"the images of {path} at {image_size} pixels", "pass a smaller --image-size")
    x = np.empty((len(files), image_size, image_size, channels), np.uint8)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        extents = [one for one in pool.map(extent, range(len(files))) if one is not None]
        chosen = divisors_for(extents, divisors)
        for i, image in enumerate(pool.map(read, range(len(files)))):
            x[i] = image
    protocol = f"{' + '.join(names)} ({len(files):,} samples)" if any(names) else f"all {len(files):,} samples"
    source = ArraySource(
        x,
        np.concatenate(labels) if labels else None,
        name=str(path),
        protocol=protocol,
        n_reported=n_labelled if 0 < n_labelled < len(files) else None,
    )
    source.divisors = chosen
    with_labels = [f"{prefix}label" for name, prefix in by_name.items() if name in names and labelled[name]]
    source.understood = "; ".join(
        [
            f"{len(files):,} images",
            *said_divisors(extents, chosen, divisors),
            f"label: {', '.join(with_labels) or 'none'}",
        ]
    )
    return source


def _array(path: Path, archive: Any, name: str) -> np.ndarray:
    if name not in archive:
        raise InputError(f"{path} has no array {name}; it holds {', '.join(archive.files)}")
    return archive[name]


def _head(path: Path, data: bytes) -> tuple[int, bool]:
    """Shorter side of the first image, and whether it is grey."""
    with _naming(path, 0), Image.open(io.BytesIO(data)) as image:
        check_pixels(image, io.BytesIO(data))
        return min(image.size), image.mode in GREY_MODES


@contextlib.contextmanager
def _naming(path: Path, i: int) -> Iterator[None]:
    """Raises InputError, with the number of the image, for what Pillow raises."""
    try:
        yield
    except Exception as error:  # of which damaged images raise any
        raise InputError(f"{path}: image {i} can't be read ({error})") from error

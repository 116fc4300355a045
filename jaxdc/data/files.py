"""Arrays on disk: ``.npy``, ``.npz``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxdc.data import encoded
from jaxdc.data.mapped import MappedSource
from jaxdc.data.sources import ArraySource, Source
from jaxdc.data.splits import refuse_split
from jaxdc.data.views import LABELS, load_views
from jaxdc.errors import InputError
from jaxdc.reading import Archive, kind_of_arrays, read_array


def load_npy(path: Path, *, resident_bytes: int = 2**31) -> Source:
    """Loads samples ``[n, ...]`` from one array. If larger than ``resident_bytes``, it is memory-mapped."""
    if kind_of_arrays(path) == ".npz":
        raise InputError(f"{path} is an .npz archive: rename it to .npz")
    x = read_array(path, mmap_mode="r")
    if x.size * (1 if x.dtype == np.uint8 else 4) > resident_bytes:
        source: Source = MappedSource(x, name=str(path))
    else:
        source = ArraySource(x, name=str(path))
    source.understood = f"samples: {_kind_of(source.shape)}; label: none"
    return source


def load_npz(
    path: Path,
    *,
    split: str = "all",
    image_size: int | None = None,
    channels: int | None = None,
    divisors: Mapping[str, float] | None = None,
    views: str | None = None,
) -> ArraySource:
    """Loads samples ``x`` ``[n, ...]`` and optional classes ``y`` ``[n]``, encoded images, or views.

    ``views`` is that of ``load_views``, for a file with several arrays; the other arguments are those of
    ``load_encoded``, for a file of encoded images.
    """
    if views is not None:
        refuse_split(split, str(path))
        return load_views(path, views)
    archive = _opened(path)
    if "x" not in archive and encoded.split_names(archive.files):
        images = {"split": split, "image_size": image_size, "channels": channels, "divisors": divisors}
        return encoded.load_encoded(path, archive, **images)
    refuse_split(split, str(path))
    if "x" not in archive and len(archive.files) > 1:
        source = load_views(path)
        if source.views and len(source.views) > 1:
            return source
    if "x" not in archive:
        raise InputError(f"{path} has no array x; it holds {', '.join(archive.files) or 'nothing'}")
    x = archive["x"]
    label = next((key for key in LABELS if key in archive), None)
    y = None if label is None else archive[label]
    source = ArraySource(x, y, name=str(path))
    left = [key for key in archive.files if key not in ("x", label)]
    about = [f"samples: x, {_kind_of(source.shape)}", f"label: {label or 'none'}"]
    source.understood = "; ".join([*about, *([f"left out: {', '.join(left)}"] if left else [])])
    return source


def split_names(path: Path) -> tuple[str, ...]:
    """Names of the splits in a file of encoded images; empty for an array or unnamed images."""
    archive = _opened(path)
    if "x" in archive:
        return ()
    return tuple(filter(None, (prefix.rstrip("_") for prefix in encoded.split_names(archive.files))))


def _opened(path: Path) -> Archive:
    if kind_of_arrays(path) == ".npy":
        raise InputError(f"{path} is an .npy array: rename it to .npy")
    return Archive(path)


def _kind_of(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"vectors of {shape[0]:,}"
    return f"images of {'x'.join(map(str, shape))}"

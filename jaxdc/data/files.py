"""Arrays and tables on disk: ``.npy``, ``.npz``, ``.csv``."""

from __future__ import annotations

import csv
import itertools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from jaxdc.data import encoded
from jaxdc.data.mapped import MappedSource
from jaxdc.data.sources import ArraySource, Source
from jaxdc.data.views import load_views
from jaxdc.errors import InputError

CSV_BLOCK = 4096  # rows of a table read at a time
LABEL_COLUMNS = ("label", "labels", "class", "target", "y")


def load_npy(path: Path, *, resident_bytes: int = 2**31) -> Source:
    """Loads samples ``[n, ...]`` from one array. If larger than ``resident_bytes``, it is memory-mapped."""
    x = _read(path, mmap_mode="r")
    if not isinstance(x, np.ndarray):
        raise InputError(f"{path} is an .npz archive: rename it to .npz")
    if x.size * (1 if x.dtype == np.uint8 else 4) > resident_bytes:
        return MappedSource(x, name=str(path))
    return ArraySource(x, name=str(path))


def load_npz(
    path: Path,
    *,
    split: str = "all",
    image_size: int | None = None,
    channels: int | None = None,
    views: str | None = None,
) -> ArraySource:
    """Loads samples ``x`` ``[n, ...]`` and optional classes ``y`` ``[n]``, encoded images, or views.

    ``views`` is that of ``load_views``, for a file with several arrays; the other arguments are those of
    ``load_encoded``, for a file of encoded images.
    """
    if views is not None:
        return load_views(path, views)
    archive = _read(path)
    if isinstance(archive, np.ndarray):
        raise InputError(f"{path} is an .npy array: rename it to .npy")
    with archive:
        if "x" not in archive and encoded.split_names(archive.files):
            return encoded.load_encoded(path, archive, split=split, image_size=image_size, channels=channels)
        if "x" not in archive and len(archive.files) > 1:
            source = load_views(path)
            if source.views and len(source.views) > 1:
                return source
        if "x" not in archive:
            raise InputError(f"{path} has no array x; it holds {', '.join(archive.files) or 'nothing'}")
        try:
            x, y = archive["x"], archive["y"] if "y" in archive else None
        except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
            raise InputError(f"{path} can't be read: {_first_line(error)}") from error
    return ArraySource(x, y, name=str(path))


def split_names(path: Path) -> tuple[str, ...]:
    """Names of the splits in a file of encoded images; empty for an array or unnamed images."""
    archive = _read(path)
    if isinstance(archive, np.ndarray):
        return ()
    with archive:
        if "x" in archive:
            return ()
        return tuple(filter(None, (prefix.rstrip("_") for prefix in encoded.split_names(archive.files))))


def _read(path: Path, mmap_mode: Literal["r"] | None = None):
    try:
        return np.load(path, mmap_mode=mmap_mode)
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        # Data without a NumPy header would be loaded as a pickle, which can execute code.
        reason = "it is another format, or damaged" if "pickle" in str(error) else _first_line(error)
        raise InputError(f"{path} can't be read as a NumPy file: {reason}") from error


def load_csv(path: Path) -> ArraySource:
    """Loads a table of numbers with one row per sample, with or without a header line.

    A column named label, labels, class, target or y holds the classes, which are used only for scoring.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _table(path, (row for row in csv.reader(file) if row))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{path} can't be read as a UTF-8 CSV table: {error}") from error


def _table(path: Path, rows: Iterator[list[str]]) -> ArraySource:
    """Converts the rows in blocks, because strings take many times the memory of their numbers."""
    head = next(rows, None)
    if head is None:
        raise InputError(f"{path} is empty")
    header = None if all(map(_is_number, head)) else [name.strip() for name in head]
    label = next((i for i, name in enumerate(header or []) if name.lower() in LABEL_COLUMNS), None)
    columns = [i for i in range(len(head)) if i != label]
    if not columns:
        raise InputError(f"{path} has no columns other than the labels")
    if header is None:
        rows = itertools.chain([head], rows)
    blocks, labels, line = [], [], 2 if header else 1
    while part := list(itertools.islice(rows, CSV_BLOCK)):
        blocks.append(_numbers(path, part, line, header, len(head), columns))
        if label is not None:
            labels += [row[label] for row in part]
        line += len(part)
    if not blocks:
        raise InputError(f"{path} has column names but no rows")
    return ArraySource(np.concatenate(blocks), None if label is None else np.array(labels), name=str(path))


def _numbers(
    path: Path, rows: list[list[str]], line: int, header: list[str] | None, width: int, columns: list[int]
) -> np.ndarray:
    """Rows of a table, the first of them in this line, as float32."""
    for i, row in enumerate(rows):
        if len(row) != width:
            raise InputError(f"{path} has {len(row)} values in line {i + line}, but {width} columns")
    x = np.empty((len(rows), len(columns)), np.float32)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            try:
                x[i, j] = float(row[column])
            except ValueError:
                name = header[column] if header else f"{column + 1}"
                value = f"{row[column]!r}" if row[column].strip() else "nothing"
                raise InputError(
                    f"{path} has {value} in line {i + line}, column {name}, but must have a number"
                ) from None
    return x


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()
    return True


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

"""Random access to TFRecord files, by the offset of each record."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxdc.errors import InputError

# A record has its length (8 bytes) and checksum (4) before the data, and a checksum (4) after them.
_HEAD, _TAIL = 12, 4


class Records:
    """The records of several files, concatenated.

    Args:
      paths: paths of the files, in order.

    Raises:
      InputError: a file is truncated.
    """

    def __init__(self, paths: Sequence[Path]):
        self._files = [open(path, "rb", buffering=0) for path in paths]  # noqa: SIM115 - open for the lifetime of this object
        places = [_places(file.fileno(), path) for file, path in zip(self._files, paths, strict=True)]
        self._first_rows = np.cumsum([0, *map(len, places)])
        self._places = np.concatenate(places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, row: int) -> bytes:
        """The data of a record."""
        i = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        start, length = self._places[row].tolist()
        return os.pread(self._files[i].fileno(), length, start)


def _places(file: int, path: Path) -> np.ndarray:
    """Start and length ``[n, 2]`` of the data of each record of an open file."""
    size, at, places = os.fstat(file).st_size, 0, []
    while at < size:
        head = os.pread(file, _HEAD, at)
        length = struct.unpack("<Q", head[:8])[0] if len(head) == _HEAD else size
        if at + _HEAD + length + _TAIL > size:
            raise InputError(f"{path} is truncated: its record {len(places)} extends past the end of the file")
        places.append((at + _HEAD, length))
        at += _HEAD + length + _TAIL
    return np.array(places, np.int64).reshape(-1, 2)

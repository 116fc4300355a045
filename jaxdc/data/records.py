"""Random access to files of records: TFRecord, by the place of each record, and ArrayRecord."""

from __future__ import annotations

import bisect
import functools
import itertools
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from jaxdc.errors import InputError

# A record has its length (8 bytes) and checksum (4) before the data, and a checksum (4) after them.
_HEAD, _TAIL = 12, 4
READERS = 32  # threads that read at once: a disk across a network answers many questions as fast as one
OPEN_FILES = 256  # kept open, of a set that may have thousands

Piece = Callable[[int, int], bytes]  # the bytes of a record from ``start`` to ``stop``


class Records(Protocol):
    """The records of several files, concatenated. Any number of threads may read at once."""

    def __len__(self) -> int: ...

    def read(self, rows: Sequence[int]) -> list[bytes]:
        """The data of these records, in this order."""
        ...

    def piece(self, row: int) -> tuple[Piece, int]:
        """What reads parts of a record, and the record's length."""
        ...


class TFRecords(Records):
    """The records of TFRecord files.

    Opening them reads the 12 bytes before each record, of several files at once.

    Args:
      paths: paths of the files, in order.

    Raises:
      InputError: a file is missing or truncated.
    """

    def __init__(self, paths: Sequence[Path]):
        self._paths = list(paths)
        self._file = functools.lru_cache(OPEN_FILES)(_File)
        with ThreadPoolExecutor(READERS) as pool:
            places = list(pool.map(lambda path: _places(_File(path)), self._paths))
        self._first_rows = list(itertools.accumulate(map(len, places), initial=0))
        self._places = np.concatenate([np.zeros((0, 2), np.int64), *places])

    def __len__(self) -> int:
        return len(self._places)

    def read(self, rows):
        return [self._part(row, 0, int(self._places[row, 1])) for row in rows]

    def piece(self, row):
        return functools.partial(self._part, row), int(self._places[row, 1])

    def _part(self, row: int, start: int, stop: int) -> bytes:
        path = self._paths[bisect.bisect_right(self._first_rows, row) - 1]
        data = self._file(path).read(int(self._places[row, 0]) + start, stop - start)
        if len(data) < stop - start:
            raise InputError(f"{path} has become shorter since it was opened: its last records are gone")
        return data


class ArrayRecords(Records):
    """The records of ArrayRecord files, which know the places of their records.

    Args:
      paths: paths of the files, in order.

    Raises:
      InputError: ``array_record`` is not installed.
    """

    def __init__(self, paths: Sequence[Path]):
        try:
            from array_record.python.array_record_data_source import ArrayRecordDataSource
        except ImportError as error:
            raise InputError(
                f"{paths[0]} needs array_record, which is not installed ({error}): install it with "
                "pip install array_record"
            ) from None
        self._source = ArrayRecordDataSource([str(path) for path in paths])

    def __len__(self) -> int:
        return len(self._source)

    def read(self, rows):
        return list(self._source.__getitems__(list(map(int, rows))))

    def piece(self, row):
        [data] = self.read([row])
        return (lambda start, stop: data[start:stop]), len(data)


class _File:
    """A file that is open as long as somebody holds this object."""

    def __init__(self, path: Path):
        self.path = path
        self._number = -1
        try:
            self._number = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"{path} can't be read: {error.strerror}") from error
        self.size = os.fstat(self._number).st_size
        if hasattr(os, "posix_fadvise"):  # rows come in any order: reading ahead would read what nobody wants
            os.posix_fadvise(self._number, 0, 0, os.POSIX_FADV_RANDOM)

    def __del__(self):
        if self._number >= 0:
            os.close(self._number)

    def read(self, start: int, n: int) -> bytes:
        return os.pread(self._number, n, start)


def _places(file: _File) -> np.ndarray:
    """Start and length ``[n, 2]`` of the data of each record of a file."""
    at, places, read, length_of = 0, [], file.read, struct.Struct("<Q4x").unpack
    while at < file.size:
        head = read(at, _HEAD)
        [length] = length_of(head) if len(head) == _HEAD else [file.size]
        if at + _HEAD + length + _TAIL > file.size:
            raise InputError(
                f"{file.path} is truncated: its record {len(places)} extends past the end of the file"
            )
        places.append((at + _HEAD, length))
        at += _HEAD + length + _TAIL
    return np.array(places, np.int64).reshape(-1, 2)

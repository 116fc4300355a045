"""NumPy's files, without trusting what their headers promise.

NumPy allocates what a header says before it reads, takes some data for a pickle, and explains in its own words.
Here the promise is compared with what the file holds first.
"""

from __future__ import annotations

import contextlib
import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from jaxdc.errors import InputError
from jaxdc.reading.bounds import check_expansion
from jaxdc.reading.files import check_regular

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# The second is that of an archive without members.
_KINDS = {b"PK\x03\x04": ".npz", b"PK\x05\x06": ".npz", b"\x93NUM": ".npy"}


def kind_of_arrays(path: Path) -> str:
    """The suffix that a file should have by its first bytes: ".npy", ".npz", or "" for another format."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            return _KINDS.get(file.read(4), "")
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error


def read_array(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    """The array of an ``.npy`` file.

    Args:
      path: path of the file.
      mmap_mode: "r" maps it instead of reading it.

    Raises:
      InputError: the file is no such array, is damaged, or holds Python objects.
    """
    size = check_regular(path)
    with _told(f"{path} can't be read as a NumPy file"):
        with path.open("rb") as file:
            n_bytes = _promised(file)
            if n_bytes > size - file.tell():
                raise _Damage(f"its header promises {n_bytes:,} bytes, but {size - file.tell():,} follow")
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)


class Archive(Mapping[str, np.ndarray]):
    """The arrays of an ``.npz`` file, each read when it is asked for.

    Args:
      path: path of the file.

    Raises:
      InputError: the file is no such archive, or is damaged; also when an array is read.
    """

    def __init__(self, path: Path):
        self.path, self._size = path, check_regular(path)
        with self._told(), zipfile.ZipFile(path) as archive:
            found = {info.filename: info for info in archive.infolist()}
        self._members = {name.removesuffix(".npy"): info for name, info in found.items() if name.endswith(".npy")}

    @property
    def files(self) -> list[str]:
        """The names of the arrays."""
        return list(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> np.ndarray:
        info = self._members[name]
        with self._told(name), zipfile.ZipFile(self.path) as archive:
            if info.flag_bits & 1:
                raise _Damage("it is encrypted")
            if info.compress_size > self._size:
                raise _Damage("it says that it is larger than the file")
            what = f"the array {name} of {self.path}"
            check_expansion(info.file_size, info.compress_size, what, "save it with numpy.savez, uncompressed")
            with archive.open(info) as member:
                n_bytes, begins = _promised(member), member.tell()
            if n_bytes != info.file_size - begins:
                raise _Damage(f"its header promises {n_bytes:,} bytes, but {info.file_size - begins:,} follow")
            with archive.open(info) as member:
                x = np.lib.format.read_array(member, allow_pickle=False)
                member.read()  # to the end, where the checksum is compared
            return x

    def _told(self, name: str | None = None):
        return _told(f"{'' if name is None else f'the array {name} of '}{self.path} can't be read")


class _Damage(Exception):
    """A reason, in our words."""


def _promised(file: IO[bytes]) -> int:
    """The number of bytes of data that a header promises; the file is then at their beginning."""
    try:
        version = np.lib.format.read_magic(file)
    except ValueError as error:
        file.seek(0)
        is_zip = _KINDS.get(file.read(4)) == ".npz"
        raise _Damage("it is an archive of arrays" if is_zip else "it is another format, or damaged") from error
    if version not in _READERS:
        raise _Damage(f"it is of version {version[0]}.{version[1]} of the format, which holds no plain numbers")
    try:
        shape, _, dtype = _READERS[version](file)
    except Exception as error:  # whatever a damaged header makes of the parser
        raise _Damage("its header is damaged") from error
    if dtype.hasobject:
        raise _Damage("it holds Python objects, where numbers are expected")
    if any(n < 0 for n in shape):
        raise _Damage(f"its header says that its shape is {shape}")
    return math.prod(shape) * dtype.itemsize


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():  # NumPy's advice on old headers
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{what}: it does not fit into memory") from error
    except Exception as error:  # zip, deflate, NumPy's parser and the disk have no error in common
        raise InputError(f"{what}: {_reason(error)}") from error


def _reason(error: Any) -> str:
    if isinstance(error, _Damage):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged"

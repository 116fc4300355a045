"""Tensors of a file that PyTorch's ``torch.save`` wrote, without PyTorch and without running what a pickle says.

Such a file is a pickle, and a pickle may call whatever it names. Here it may name the few things that a dictionary
of tensors is made of, and anything else ends in an error before it is called.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdc.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C  # the first value of a file in the format before version 1.6
DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, buffer: np.ndarray) -> np.ndarray:
        """Its values, in rows. A tensor may lie in its storage in any order, which its shape does not say."""
        end = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True)) + 1
        if min((self.offset, *self.size, *self.stride)) < 0 or (0 not in self.size and end > len(buffer)):
            raise pickle.UnpicklingError(f"a tensor of {self.size} ends outside of its storage")
        if 0 in self.size:
            return np.zeros(self.size, self.storage.dtype)
        steps = [step * buffer.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(buffer[self.offset :], self.size, steps).copy()


def _tensor(storage, offset, size, stride, *_) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor has no storage")
    return _Tensor(storage, int(offset), tuple(map(int, size)), tuple(map(int, stride)))


class _Unpickler(pickle.Unpickler):
    """An unpickler of dictionaries of tensors, and of nothing else."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, *_: data
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no file of weights needs")

    def persistent_load(self, pid):
        kind, dtype, key = pid[:3]
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"it refers to a {kind!r}")
        return _Storage(str(key), dtype)


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a ``.pth``, ``.pt`` or ``.bin`` by their names.

    Both formats are read: the archive of version 1.6 and later, and the row of pickles before it. A dictionary
    that holds them under ``state_dict`` or ``model``, as checkpoints of a training do, is looked into.

    Raises:
      InputError: it is no such file, is damaged, or its pickle names something else than tensors.
    """
    try:
        tensors, buffers = _archive(path) if zipfile.is_zipfile(path) else _legacy(path)
        return {name: tensor.of(buffers[tensor.storage.key]) for name, tensor in tensors.items()}
    except OSError as error:
        raise InputError(f"{path} can't be read: {error}") from error
    # Of a damaged pickle all of these come.
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        EOFError,
        OverflowError,
        MemoryError,
    ) as error:
        raise InputError(f"{path} is refused, or damaged: {error}") from error


def _archive(path: Path) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        tensors = _tensors_of(_Unpickler(io.BytesIO(archive.read(pickled))).load())
        storages = {tensor.storage for tensor in tensors.values()}
        buffers = {one.key: np.frombuffer(archive.read(f"{folder}data/{one.key}"), one.dtype) for one in storages}
    return tensors, buffers


def _legacy(path: Path) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
    with path.open("rb") as file:
        if _Unpickler(file).load() != MAGIC:
            raise ValueError("it does not begin as a file of PyTorch's does")
        _Unpickler(file).load()  # the version of the protocol
        _Unpickler(file).load()  # the machine that wrote it
        tensors = _tensors_of(_Unpickler(file).load())
        keys = _Unpickler(file).load()
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
        buffers = {}
        for key in keys:  # the values of the storages follow in this order, each after its count
            count, dtype = int(np.frombuffer(file.read(8), "<i8")[0]), dtypes[key]
            buffers[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return tensors, buffers


def _tensors_of(content: Any) -> dict[str, _Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError("it holds no dictionary of tensors")
    return {str(name): value for name, value in content.items() if isinstance(value, _Tensor)}

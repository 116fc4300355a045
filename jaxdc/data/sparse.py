"""Vectors with mostly zeros, kept sparse on the host if the dense matrix would be too large."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from jaxdc.data.sources import Source, check_finite, checked_labels
from jaxdc.errors import InputError


class SparseSource(Source):
    """A matrix that is dense on the device, and also on the host if it is small enough.

    Args:
      x: a SciPy sparse matrix, or an array, ``[n, d]``.
      labels: classes ``[n]``, for scoring.
      sample_names: name of each sample.
      name: name for messages.
      protocol: which part of the data this is.
      dtype: float32, or int32 for token ids.
      resident_bytes: if the dense matrix is larger, it is sent to the device in batches.

    Raises:
      InputError: no samples, NaN or infinity, or wrong number of labels.
    """

    def __init__(
        self,
        x: Any,
        labels: Any = None,
        *,
        sample_names=None,
        name: str = "matrix",
        protocol: str = "all samples",
        dtype: Any = np.float32,
        resident_bytes: int = 2**31,
    ):
        self._x = x.astype(dtype)
        self.name, self.protocol, self.sample_names = name, protocol, sample_names
        self.n_samples, self.shape, self.dtype = x.shape[0], tuple(x.shape[1:]), np.dtype(dtype)
        if not self.n_samples:
            raise InputError(f"{name} is empty: its shape is {x.shape}")
        if labels is not None:
            labels = checked_labels(labels, self.n_samples, name)
        self.labels = labels
        if 4 * self.n_samples * int(np.prod(self.shape)) <= resident_bytes:
            self._x = self.array = _dense(self._x)
            check_finite(self.array, name)
        elif not np.isfinite(_values(self._x).sum(dtype=np.float64)):
            raise InputError(f"{name} has values that are NaN or infinite")

    def read(self, rows):
        for part in rows:
            yield _dense(self._x[part]), part

    def n_zeros(self) -> int:
        """Number of samples with only zeros."""
        if isinstance(self._x, np.ndarray):
            return int(np.sum(~self._x.reshape(self.n_samples, -1).any(axis=1)))
        return int(np.sum(np.diff(self._x.tocsr().indptr) == 0))

    def fingerprint(self):
        x = self._x
        parts = (x,) if isinstance(x, np.ndarray) else (x.data, x.indices, x.indptr)
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(np.ascontiguousarray(part).view(np.uint8).reshape(-1).data, checksum)
        return f"{self.dtype}{[self.n_samples, *self.shape]} crc32 {checksum:08x}"


def _dense(x: Any) -> np.ndarray:
    return x if isinstance(x, np.ndarray) else x.toarray()


def _values(x: Any) -> np.ndarray:
    return x if isinstance(x, np.ndarray) else x.data

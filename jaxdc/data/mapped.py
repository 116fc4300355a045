"""Samples in a ``.npy`` file that is too large to load into memory."""

from __future__ import annotations

import mmap
import zlib

import numpy as np

from jaxdc.data.sources import Source, check_finite, check_samples

BLOCK_BYTES = 2**22  # bytes read at a time when scanning the whole file


class MappedSource(Source):
    """Samples that stay on disk; blocks are read as uint8 or float32.

    Args:
      x: ``[n, d]`` or images, as for ``ArraySource``, memory-mapped by ``numpy.load``.
      name: name for messages.

    Raises:
      InputError: no samples, NaN or infinity (with its position), or another rank; reads the whole file.
    """

    def __init__(self, x: np.ndarray, *, name: str):
        check_samples(x, name)
        self._file = x
        self._x = x[..., None] if x.ndim == 3 else x
        self.name, self.protocol = name, "all samples"
        self.shape, self.n_samples = self._x.shape[1:], len(x)
        self.dtype = x.dtype if x.dtype == np.uint8 else np.dtype(np.float32)
        for part, rows in self._all():
            check_finite(part, name, first_row=int(rows[0]))

    def read(self, rows):
        for part in rows:
            yield self._x[part].astype(self.dtype, copy=False), part

    def blocks(self, batch_size, *, shard):
        for block in super().blocks(batch_size, shard=shard):
            yield block
            self._forget()

    def fingerprint(self):
        checksum = 0  # the same as of an ArraySource with these samples
        for part, _ in self._all():
            checksum = zlib.crc32(np.ascontiguousarray(part).view(np.uint8).reshape(-1).data, checksum)
        return f"{self.dtype}{list(self._x.shape)} crc32 {checksum:08x}"

    def _all(self):
        size = max(self._x[0].size * self._x.dtype.itemsize, 1)
        return self.blocks(max(BLOCK_BYTES // size, 1), shard=(0, 1))

    def _forget(self) -> None:
        """Frees the memory of pages already read, which would otherwise grow to the size of the file."""
        mapped = getattr(self._file, "_mmap", None)
        if mapped is not None and hasattr(mapped, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)

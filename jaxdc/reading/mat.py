"""MATLAB's files of version 5, whose compressed parts may expand to anything."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from jaxdc.errors import InputError
from jaxdc.reading.bounds import most_bytes
from jaxdc.reading.files import check_regular

HEAD, COMPRESSED, PART = 128, 15, 2**20


def check_mat(path: Path) -> int:
    """The size of a file in bytes, whose parts expand to no more than real data do.

    Raises:
      InputError: it is no regular file, or expands beyond that. What else is wrong its reader says.
    """
    size = check_regular(path)
    left = most_bytes(size)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            order = ">" if head[126:128] == b"MI" else "<"
            while len(tag := file.read(8)) == 8:
                kind, n_bytes = struct.unpack(f"{order}II", tag)
                after = file.tell() + n_bytes
                if kind == COMPRESSED:
                    left -= _expanded(file.read(min(n_bytes, size)), left)
                file.seek(after)
                if left < 0:
                    raise InputError(
                        f"{path} expands from {size:,} bytes to more than {most_bytes(size):,}: if that is meant, "
                        "save it with -v6, uncompressed"
                    )
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
    return size


def _expanded(content: bytes, most: int) -> int:
    """The number of bytes that a part expands to, or a number above ``most``."""
    expand, n_bytes = zlib.decompressobj(), 0
    try:
        while n_bytes <= most and not expand.eof:
            found = len(expand.decompress(content, PART))
            content, n_bytes = expand.unconsumed_tail, n_bytes + found
            if not found and not content:
                break
    except zlib.error:
        pass  # the reader will say so
    return n_bytes

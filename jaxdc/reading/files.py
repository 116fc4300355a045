"""Whole files: bytes, plain or compressed by gzip, and JSON."""

from __future__ import annotations

import gzip
import json
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxdc.errors import InputError
from jaxdc.reading.bounds import most_bytes


def check_regular(path: Path) -> int:
    """The size of a file in bytes.

    Raises:
      InputError: it isn't there, or is no regular file: a device has no end, and a pipe may keep one waiting.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise InputError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise InputError(f"{path} can't be read: it is {kind}, where a file is expected")
    return found.st_size


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed if its name ends in ``.gz``.

    Raises:
      InputError: it is no regular file, can't be read, is damaged, or expands beyond what real data do.
    """
    return b"".join(read_lines(path))


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, as ``read_bytes`` reads it and with its errors."""
    size = check_regular(path)
    zipped, left = path.suffix.lower() == ".gz", most_bytes(size)
    try:
        with (gzip.open if zipped else open)(path, "rb") as file:
            while line := file.readline(left + 1) if zipped else file.readline():
                left -= len(line)
                if zipped and left < 0:
                    raise InputError(
                        f"{path} expands from {size:,} bytes to more than {most_bytes(size):,}: if that is meant, "
                        "decompress it first"
                    )
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error


def parse_json(text: str | bytes, where: str) -> Any:
    """The value of a JSON text; ``where`` names it in messages.

    Raises:
      InputError: it is invalid, nested too deep, or has a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{where} is nested too deep to be read") from error
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, and integers of more than 4,300 digits
        too_long = "set_int_max_str_digits" in str(error)
        reason = "a number of too many digits" if too_long else f"invalid JSON: {error}"
        raise InputError(f"{where} has {reason}") from error


def read_json(path: Path) -> Any:
    """The value in a JSON file; errors are those of ``read_bytes`` and ``parse_json``."""
    return parse_json(read_bytes(path), str(path))

"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxdc.errors import InputError


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file whole or not at all."""
    with replacing(path) as file:
        file.write(json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[Any]:
    """A file that takes its name only when it is complete."""
    partial = path.with_name(f".{path.name}.partial")
    # Names of files may hold bytes that are no UTF-8: they go out as they came in.
    text: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    try:
        with open(partial, mode, **({} if "b" in mode else text)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def full_disk_is_an_input_error(folder: Path) -> Iterator[None]:
    """Turns "no space left", "not allowed" and their like into one sentence."""
    try:
        yield
    except OSError as error:
        if disk_is_full(error):
            raise InputError(f"the disk is full: {folder} could not be written; free some space") from error
        raise InputError(f"{folder} can't be written: {error.strerror or error}") from error


def disk_is_full(error: BaseException | None) -> bool:
    """Whether any error in the chain of causes means that the disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        text = str(error)
        if "No space left" in text or ("RESOURCE_EXHAUSTED: " in text and "disk" in text.lower()):
            return True
        error = error.__cause__ or error.__context__
    return False

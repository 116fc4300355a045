"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
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
    """A file that takes its name only when it is complete. A link of that name is replaced, not followed.

    Raises:
      InputError: a folder, a device or a pipe has the name.
    """
    if path.exists() and not (path.is_file() or path.is_symlink()):
        raise InputError(f"{path} can't be written: it is a {_kind(path)}, not a file")
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        # Nobody else's file, and through no link: not that of a folder from elsewhere either.
        number = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
        with open(number, mode, **_how(mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def output(path: Path, mode: str = "w") -> Iterator[Any]:
    """A file that a user names: replaced when the new one is complete, or written through if it is special.

    Links are followed, and a device or a pipe, such as ``/dev/stdout``, is written to.

    Raises:
      InputError: the name is that of a folder.
    """
    if path.exists() and not path.is_file():
        if path.is_dir() or path.is_block_device() or path.is_socket():
            raise InputError(f"{path} can't be written: it is a {_kind(path)}, not a file")
        with open(path, mode, **_how(mode)) as file:
            yield file
        return
    with replacing(Path(os.path.realpath(path)), mode) as file:
        yield file


def _how(mode: str) -> dict[str, Any]:
    # Names of files may hold bytes that are no UTF-8: they go out as they came in.
    return {} if "b" in mode else {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}


def _kind(path: Path) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(path.stat().st_mode), "device")


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

"""One process at a time writes a run folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from jaxdc.errors import InputError
from jaxdc.writing import full_disk_is_an_input_error

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NAME = ".lock"


class RunLock:
    """A lock on a run folder, held by this process until it is released or ends, however it ends.

    The operating system keeps it, so a killed process leaves none behind. Where there are no such locks, as on
    Windows, nothing is locked.

    Args:
      folder: the run folder; it must exist when the lock is taken.
    """

    def __init__(self, folder: Path):
        self._path = folder / NAME
        self._file: int | None = None

    def take(self) -> None:
        """Takes the lock, or takes it anew in a folder that has replaced the old one.

        Raises:
          InputError: another process holds it.
        """
        if fcntl is None:
            return
        self.release()
        with full_disk_is_an_input_error(self._path.parent):
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(file, 200).decode(errors="replace").strip() or "another process"
            os.close(file)
            if not isinstance(error, BlockingIOError):
                return  # a file system without locks
            raise InputError(
                f"{self._path.parent} is in use by {holder}: wait for it, or choose another --workdir"
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Lets go of the folder, if this process holds it."""
        if self._file is None:
            return
        self._path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = None

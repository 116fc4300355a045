"""A run folder while a run works in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.runs import runfolder
from jaxdc.runs.config import check_described
from jaxdc.runs.lock import RunLock
from jaxdc.runs.prepare import Prepared


class Place:
    """The folder of a run, which no other process works in meanwhile; a context that lets go of it.

    Args:
      folder: the run folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock, self._begins = RunLock(folder), False

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes into it."""
        return sharding.is_main_process()

    def begin(self, config: dict[str, Any], run: Prepared, *, fresh: bool) -> bool:
        """Makes the folder ready, for all processes, unless it holds this run, whole: then returns True.

        Raises:
          InputError: the folder holds something else, or another process works in it.
        """
        check_described(config, run.experiment)
        finished, began = runfolder.is_finished(self.folder, config, fresh=fresh), runfolder.is_begun(self.folder)
        # Hosts may see a network disk at different times: process 0 decides for all.
        finished, began = sharding.gather([finished, began])[0]
        if finished:
            return True
        if began:
            self._take()
        if self.writes:
            self._begins = runfolder.begin(self.folder, config, fresh=fresh, fitted=run.source.fitted)
        sharding.wait_for_all("begun")
        runfolder.check_shared(self.folder)
        self._take()
        return False

    def take_up(self, run: Prepared) -> None:
        """Makes a finished run unfinished, of which something is damaged, so that it is written again."""
        self._take()
        if self.writes:
            runfolder.take_up(self.folder, fitted=run.source.fitted)
        sharding.wait_for_all("taken up")

    def refused(self) -> None:
        """The run was refused after it had begun: what it has written is removed, if it began here."""
        if self.writes and self._begins:
            runfolder.remove_unstarted(self.folder)

    def _take(self) -> None:
        problem: InputError | None = None
        if self.writes:
            try:
                self._lock.take()
            except InputError as error:
                problem = error
        if any(refused for (refused,) in sharding.gather([problem is not None])):
            raise problem or InputError(f"{self.folder} is in use by another run: choose another --workdir")

"""Checkpoints on disk: the only module that imports Orbax."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.reading import check_regular, read_json
from jaxdc.writing import disk_is_full, write_json

# Orbax logs every step of a save, and the traceback of a failed one from six threads; errors reach
# us as exceptions anyway.
logging.getLogger("absl").setLevel(logging.CRITICAL)

SEAL = "seal.json"  # in the folder of a snapshot: the digest of its run, and of each of its files


class Checkpoints:
    """Snapshots of one stage, named by their step; the two newest are kept.

    A snapshot counts only once it is complete, so the process may die at any moment while writing one. It carries
    checksums of its files, and the digest of the run that it belongs to: they are verified before it is loaded.

    Snapshots are written in the background: ``save`` returns once all arrays are on the host, so that they may be
    donated. An error of the writing is raised by the next call that needs it to be over: another ``save``,
    ``wait``, ``close``, or whatever reads.

    Args:
      folder: folder of the checkpoints; created by the first save.
      run: digest of the run.
    """

    def __init__(self, folder: Path, run: str = ""):
        self.folder, self._run = folder.absolute(), run
        self._checkpointer: ocp.training.Checkpointer | None = None
        self._writing: futures.Future[None] | None = None

    def _open(self) -> ocp.training.Checkpointer:
        """What saves. It reads the metadata of all snapshots that are there, so these are verified first."""
        if self._checkpointer is None:
            for step in self._steps():
                self._check_seal(step)
            self._checkpointer = ocp.training.Checkpointer(
                self.folder,  # pyright: ignore[reportArgumentType] - its PathLike protocol
                preservation_policy=ocp.training.preservation_policies.LatestN(2),  # pyright: ignore[reportArgumentType]
                cleanup_tmp_directories=True,
            )
        return self._checkpointer

    def save(self, step: int, tree: Any) -> None:
        """Begins to write a snapshot, after the one before it is complete."""
        self.wait()
        with self._errors_in_words():
            response = self._open().save_async(step, tree, force=True, overwrite=True)
            writer = futures.ThreadPoolExecutor(1, "checkpoint")
            self._writing = writer.submit(self._complete, step, response)
            writer.shutdown(wait=False)

    def wait(self) -> None:
        """Returns once the snapshot that is being written, if any, is complete; raises what went wrong."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            with self._errors_in_words():
                writing.result()

    def _complete(self, step: int, response: Any) -> None:
        """In the background: waits for Orbax and seals what it wrote."""
        response.result()
        if sharding.is_main_process():
            place = self.folder / str(step)
            write_json(place / SEAL, {"run": self._run, "files": _digests(place)})

    @contextlib.contextmanager
    def _errors_in_words(self) -> Iterator[None]:
        try:
            yield
        except _Refused as error:
            raise InputError(
                f"a checkpoint in {self.folder} {error}: run the train command again with --from-last-good"
            ) from error
        except Exception as error:
            if disk_is_full(error):
                raise InputError(
                    f"the disk is full: no room for a checkpoint in {self.folder}; "
                    "free some space and run the same command again to resume from the last one"
                ) from error
            raise

    def latest(self) -> int | None:
        """Step of the newest complete snapshot, or None."""
        self.wait()
        return max(self._steps(), default=None)

    def load(self, abstract: Any) -> Any:
        """The newest snapshot, in the shapes, dtypes and shardings of ``abstract``.

        Raises:
          InputError: it is damaged, or another run's; the message names the last good one of the stage.
        """
        step = self.latest()
        if step is None:
            raise InputError(f"there is no checkpoint in {self.folder}")
        try:
            return self._load(step, abstract)
        except _Refused as error:
            raise self._refusal(step, error, lambda one: self._load(one, abstract)) from error

    def check(self) -> None:
        """Verifies the newest snapshot without reading its arrays; the errors are those of ``load``."""
        step = self.latest()
        if step is None:
            return
        try:
            self._check_seal(step)
        except _Refused as error:
            raise self._refusal(step, error, self._check_seal) from error

    def _refusal(self, step: int, error: Exception, check: Callable[[int], Any]) -> InputError:
        good = next((one for one in self._steps() if one < step and self._passes(check, one)), None)
        found, place = "the stage has no good one", "the stage before, or from the start"
        if good is not None:
            found, place = f"the last good one is {self.folder / str(good)}", "there"
        return InputError(
            f"the checkpoint {self.folder / str(step)} {error}; {found}: run the train command again with "
            f"--from-last-good to go on from {place}"
        )

    def set_aside(self, abstract: Any) -> list[Path]:
        """Moves damaged snapshots, and those of other runs, out of the way of the newest good one.

        Returns:
          Where they are now.
        """
        moved, found = [], False
        for step in self._steps():
            # Older ones need not be read, but must not be in the way of those to come.
            if self._passes(self._check_seal if found else lambda one: self._load(one, abstract), step):
                found = True
                continue
            self.close()
            aside = self.folder.with_name(f"refused-{self.folder.name}-{step}")
            sharding.wait_for_all("tried")
            if sharding.is_main_process():
                shutil.rmtree(aside, ignore_errors=True)
                (self.folder / str(step)).rename(aside)
            sharding.wait_for_all("moved")
            moved.append(aside)
        return moved

    def _steps(self) -> list[int]:
        """The steps of all complete snapshots, the newest first: Orbax gives a folder its number when it is."""
        if not self.folder.is_dir():
            return []
        return sorted((int(one.name) for one in self.folder.iterdir() if one.name.isdecimal()), reverse=True)

    def _passes(self, check: Callable[[int], Any], step: int) -> bool:
        try:
            check(step)
        except _Refused:
            return False
        return True

    def _load(self, step: int, abstract: Any) -> Any:
        self._check_seal(step)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ocp.load(str(self.folder / str(step)), abstract)
        except Exception as error:  # whatever damage makes of the reader
            raise _Refused(f"is damaged or does not match this configuration ({_first_line(error)})") from error

    def _check_seal(self, step: int) -> None:
        place = self.folder / str(step)
        try:
            if not (place / SEAL).exists():  # of version 0.1.0, or the process died between the two
                for path in _files(place):
                    check_regular(path)
                return
            seal = read_json(place / SEAL)
            files, run = seal["files"], seal["run"]
            found = _digests(place)
        except (InputError, KeyError, TypeError) as error:
            raise _Refused(f"is damaged: {error}") from error
        if files != found:
            raise _Refused("is damaged: its files are not those that were saved")
        if self._run and run != self._run:
            raise _Refused("is of another run than config.json describes, or config.json is damaged")

    def close(self) -> None:
        """Waits for what is being written, and releases the folder."""
        try:
            self.wait()
        finally:
            if self._checkpointer is not None:
                self._checkpointer.close()
                self._checkpointer = None


class _Refused(Exception):
    """Why a snapshot is not used, in words."""


def _digests(place: Path) -> dict[str, str]:
    """The SHA-256 of each file of a snapshot, but of its seal."""
    found = {}
    for path in _files(place):
        check_regular(path)
        with path.open("rb") as file:
            found[path.relative_to(place).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _files(place: Path) -> Iterator[Path]:
    """The files of a snapshot, but its seal; InputError if one is a link."""
    for path in sorted(place.rglob("*")):
        if path.is_symlink():
            raise InputError(f"{path} is a link")
        if not path.is_dir() and path != place / SEAL:
            yield path


def abstract_like(tree: Any) -> Any:
    """Shapes, dtypes and shardings of a tree of arrays, as needed by ``load``."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]

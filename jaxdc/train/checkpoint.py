"""Checkpoints on disk: the only module that imports Orbax."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from jaxdc.errors import InputError
from jaxdc.writing import disk_is_full

# Orbax logs every step of a save, and the traceback of a failed one from six threads; errors reach
# us as exceptions anyway.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class Checkpoints:
    """Snapshots of one stage, named by their step; the two newest are kept.

    A snapshot counts only once it is complete, so the process may die at any moment while writing one.

    Args:
      folder: folder of the checkpoints; created by the first save.
    """

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self._checkpointer: ocp.training.Checkpointer | None = None

    def _open(self) -> ocp.training.Checkpointer:
        if self._checkpointer is None:
            self._checkpointer = ocp.training.Checkpointer(
                self.folder,  # pyright: ignore[reportArgumentType] - its PathLike protocol
                preservation_policy=ocp.training.preservation_policies.LatestN(2),  # pyright: ignore[reportArgumentType]
                cleanup_tmp_directories=True,
            )
        return self._checkpointer

    def save(self, step: int, tree: Any) -> None:
        """Writes a snapshot and returns once it is complete."""
        try:
            self._open().save(step, tree, force=True, overwrite=True)
        except Exception as error:
            if disk_is_full(error):
                raise InputError(
                    f"the disk is full: no room for a checkpoint in {self.folder}; "
                    "free some space and run the same command again to resume from the last one"
                ) from error
            raise

    def latest(self) -> int | None:
        """Step of the newest complete snapshot, or None."""
        if not self.folder.is_dir():
            return None
        newest = self._open().latest
        return None if newest is None else newest.step

    def load(self, abstract: Any) -> Any:
        """The newest snapshot, in the shapes, dtypes and shardings of ``abstract``."""
        step = self.latest()
        if step is None:
            raise InputError(f"there is no checkpoint in {self.folder}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = self._open().load(step, abstract)
        except Exception as error:
            raise InputError(
                f"the checkpoint {self.folder / str(step)} is damaged or does not match this "
                f"configuration ({_first_line(error)}): remove that folder to resume from the one before it, "
                "or start over with --fresh"
            ) from error
        return tree

    def close(self) -> None:
        """Releases the folder."""
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None


def abstract_like(tree: Any) -> Any:
    """Shapes, dtypes and shardings of a tree of arrays, as needed by ``load``."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]

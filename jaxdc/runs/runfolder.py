"""The run folder: its files, and when a run may start or resume in it.

``config.json`` describes the run, ``metrics.jsonl`` grows as it proceeds, and ``checkpoints/`` lets it
resume after a kill. Results are written atomically, ``metrics.json`` last: a folder that has it is
finished.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from jaxdc import csv_tables
from jaxdc.data.text import Fitted, FunctionEmbedding
from jaxdc.errors import InputError
from jaxdc.reading import Archive, check_regular, read_json
from jaxdc.runs import lock
from jaxdc.runs.checksums import write_checksums
from jaxdc.runs.config import differences, read_config, vectorizer_of
from jaxdc.train.labels import REJECTED, labels_of
from jaxdc.writing import full_disk_is_an_input_error, replacing, write_json

VECTORIZER = "vectorizer.npz"
RESULTS = ("embeddings.npy", "probabilities.npy", "assignments.csv")
SHARED_SECONDS = 20.0  # how long a network disk may take to show a new folder on another host


def is_finished(folder: Path, config: dict[str, Any], *, fresh: bool) -> bool:
    """Whether the folder holds this exact run, finished. Writes nothing.

    Raises:
      InputError: the folder holds another run, or is not a run folder.
    """
    if (folder / "config.json").exists():
        old = read_config(folder, check=False)
        if fresh:
            return False
        check_same(folder, old, config)
        return (folder / "metrics.json").exists()
    check_free(folder)
    return False


def is_begun(folder: Path) -> bool:
    """Whether the folder holds a run, finished or not."""
    return (folder / "config.json").exists()


def check_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raises InputError if the ``config.json`` of a folder describes another run than the new one."""
    found = list(differences(_spelled_alike(old["run"]), _spelled_alike(new["run"])))
    if found:
        shown = "; ".join(found[:3]) + ("; ..." if len(found) > 3 else "")
        raise InputError(
            f"{folder} holds a run with another configuration ({shown}); "
            "choose another --workdir, or replace it with --fresh"
        )


def _spelled_alike(run: dict[str, Any]) -> dict[str, Any]:
    """The run without the spelling of its paths: data are the same if their fingerprints are."""
    if "data" not in run:
        return run
    start = run.get("init_from")
    return {
        **run,
        "init_from": None if start is None else os.path.realpath(start),
        "data": {**run["data"], "name": None},
    }


def check_free(folder: Path) -> None:
    """Raises InputError if something else is in the place of a new run folder."""
    # A kill while config.json was written leaves its partial file, and nothing else.
    leftovers = {lock.NAME, *(f".{name}.partial" for name in ("config.json", "metrics.json"))}
    if folder.is_file() or (folder.is_dir() and {path.name for path in folder.iterdir()} - leftovers):
        raise InputError(f"{folder} exists and is not a run folder; choose another --workdir")


def begin(folder: Path, config: dict[str, Any], *, fresh: bool, fitted: Fitted | None = None) -> bool:
    """Prepares the folder for a run that ``is_finished`` accepted.

    ``fitted`` is what makes vectors of texts: what it has learnt is kept for new ones.

    Returns:
      Whether the run begins here, and doesn't go on from before.
    """
    with full_disk_is_an_input_error(folder):
        if fresh and (folder / "config.json").exists():
            # Rename first, then delete, so that a kill in between never leaves half a run behind.
            aside = folder.with_name(f"{folder.name}.removed-{os.getpid()}")
            folder.rename(aside)
            shutil.rmtree(aside)
        folder.mkdir(parents=True, exist_ok=True)
        begins = not (folder / "config.json").exists()
        if begins:
            write_json(folder / "config.json", config)
        elif "data" in config["run"]:
            _respell(folder, config)
        _write_fitted(folder, fitted)
    return begins


def _respell(folder: Path, config: dict[str, Any]) -> None:
    """Keeps the spelling of the data's path that the results will have."""
    old = read_json(folder / "config.json")
    if old["run"]["data"].get("name") != config["run"]["data"]["name"]:
        old["run"]["data"]["name"], old["opened"] = config["run"]["data"]["name"], config["opened"]
        write_json(folder / "config.json", old)


def take_up(folder: Path, *, fitted: Fitted | None = None) -> None:
    """Makes a finished run unfinished, so that its results are written again."""
    with full_disk_is_an_input_error(folder):
        (folder / "metrics.json").unlink()
        _write_fitted(folder, fitted)


def _write_fitted(folder: Path, fitted: Fitted | None) -> None:
    if fitted is not None:
        with replacing(folder / VECTORIZER, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **fitted.learned)


def read_fitted(folder: Path, config: dict[str, Any], embed: Callable[..., Any] | None = None) -> Fitted | None:
    """The vectoriser for new texts in a run on texts; None in any other.

    ``embed`` is the embedding function, for a run whose texts were embedded by one.
    """
    described = config["run"]["data"].get("vectorizer")
    if described is None:
        return None
    vectorizer = vectorizer_of(described)
    if embed is not None:
        vectorizer = FunctionEmbedding.of(embed)
    return Fitted(vectorizer, dict(Archive(folder / VECTORIZER)))


def check_shared(folder: Path) -> None:
    """Raises InputError if a process does not see the folder that process 0 created."""
    deadline = time.monotonic() + SHARED_SECONDS
    while not (folder / "config.json").exists():
        if time.monotonic() > deadline:
            raise InputError(
                f"process {jax.process_index()} does not see {folder.absolute()}, which process 0 created: "
                "choose a --workdir on a disk shared by all hosts"
            )
        time.sleep(0.5)


def remove_unstarted(folder: Path) -> None:
    """Removes the files of a run without a checkpoint, which was rejected before it started.

    Other files stay, and the folder with them.
    """
    checkpoints = folder / "checkpoints"
    if checkpoints.is_dir() and any(checkpoints.glob("*/[0-9]*")):
        return
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("metrics.jsonl", "wandb_id.txt", "mlflow_id.txt", VECTORIZER, lock.NAME, "config.json"):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody's notes
        folder.rmdir()


def write_results(
    folder: Path,
    *,
    embeddings: np.ndarray,
    probabilities: np.ndarray,
    sample_names: Sequence[str] | None,
    metrics: dict[str, Any],
) -> None:
    """Writes all results of a finished run."""
    with full_disk_is_an_input_error(folder):
        for name, array in (("embeddings", embeddings), ("probabilities", probabilities)):
            with replacing(folder / f"{name}.npy", "wb") as file:
                np.save(file, array)
        with replacing(folder / "assignments.csv") as file:
            table = AssignmentTable(file)
            table.write(np.arange(len(probabilities)), probabilities, sample_names)
        learned = (VECTORIZER,) if (folder / VECTORIZER).exists() else ()
        write_checksums(folder, (*RESULTS, *learned))
        write_json(folder / "metrics.json", metrics)


class AssignmentTable:
    """Writes rows ``sample,cluster,confidence``; the confidence is the probability of the cluster.

    Args:
      file: file to write to.
      names: names of clusters by number; if there are any, a fourth column ``name`` holds them.
    """

    def __init__(self, file: IO[str], names: Mapping[int, str] | None = None):
        self._names = names
        self._table = csv_tables.Writer(file, ("sample", "cluster", "confidence", *(("name",) if names else ())))

    def write(self, rows: np.ndarray, probabilities: np.ndarray, sample_names: Sequence[str] | None) -> None:
        """Adds samples; ``rows`` are their indices in the data set."""
        labels, confidence = labels_of(probabilities).tolist(), probabilities.max(axis=1).tolist()
        names = rows.tolist() if sample_names is None else [sample_names[row] for row in rows]
        for name, label, c in zip(names, labels, confidence, strict=True):
            self._table.row((name, label, c, *((self._names.get(label, ""),) if self._names else ())))


def read_assignments(path: Path) -> tuple[list[str] | None, np.ndarray]:
    """Names in an ``assignments.csv`` (None if they are row numbers), and clusters ``[n]``."""
    check_regular(path)
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.reader(file))[1:]
        names, labels = [csv_tables.text_of(row[0]) for row in rows], np.array([row[1] for row in rows], np.int32)
    except (OSError, IndexError, ValueError, OverflowError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if labels.min(initial=0) < REJECTED:
        raise InputError(f"{path} is damaged: it has the cluster {labels.min()}")
    return None if names == [str(i) for i in range(len(names))] else names, labels

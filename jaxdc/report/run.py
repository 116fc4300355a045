"""``report.html``: a run on one page, from its folder, or from the run that has just ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc import describe, report
from jaxdc.data import Source
from jaxdc.duplicates import Duplicates, duplicates_of
from jaxdc.errors import InputError
from jaxdc.reading import read_array, read_json
from jaxdc.runs import runfolder
from jaxdc.runs.checksums import check_checksums
from jaxdc.runs.config import read_config, stop_words_of
from jaxdc.runs.edits import NAME as EDITS
from jaxdc.runs.edits import Edits
from jaxdc.runs.progress import read_rows
from jaxdc.runs.result import Result
from jaxdc.runs.samples import Samples, samples_of_run
from jaxdc.train.labels import labels_of
from jaxdc.writing import full_disk_is_an_input_error, replacing

REPORT = "report.html"
POINTS = 2000  # samples on the map
MOST_COMPARED = 5000  # samples among which duplicates are looked for
POINTS_AFTER_TRAINING = 1000  # t-SNE of so many takes two or three seconds


def report_folder(
    folder: Path,
    *,
    data: str | None = None,
    n_members: int = 5,
    n_points: int = POINTS,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Writes the report of the run in a folder; the page lists files that are missing.

    Args:
      folder: the run folder; the run need not be finished.
      data: where its samples are now, if not where they were.
      n_members: at most so many central and so many doubtful samples a cluster.
      n_points: at most so many samples on the map.
      say: told what a person should know.

    Returns:
      Where it is.

    Raises:
      InputError: it is no run folder, or ``data`` does not hold the samples of the run.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    config = read_config(folder, check=False)
    found, missing = _files(folder, config)
    samples = Samples()
    try:
        samples = samples_of_run(config, data, say=say)
    except InputError as error:
        if data is not None:
            raise
        missing["samples"] = _sentence(str(error))
        say(f"without pictures, texts and classes: {error}")
    run = _run(config, samples, missing, folder, duplicates=_duplicates(samples), **found)
    return _write(run, folder, n_members=n_members, n_points=n_points, umap=True)


def report_result(result: Result, source: Source, folder: Path, *, n_members: int = 5) -> Path:
    """Writes the report of a run that has just ended; ``source`` holds its data."""
    run = _run(
        result.config,
        Samples.of(source),
        {},
        folder,
        duplicates=_duplicates(Samples.of(source)) if source.array is not None else None,
        edits=result.edits,
        metrics=result.metrics,
        history=result.history,
        labels=result.labels,
        probabilities=result.probabilities,
        embeddings=result.embeddings,
        sample_names=result.sample_names,
    )
    return _write(run, folder, n_members=n_members, n_points=POINTS_AFTER_TRAINING, umap=False)


def _duplicates(samples: Samples) -> Duplicates | None:
    """Duplicates, if there are few enough pictures or texts; ``jaxdc duplicates`` handles more."""
    n = len(samples.texts) if samples.texts is not None else samples.images.n_samples if samples.images else 0
    return duplicates_of(samples) if 0 < n <= MOST_COMPARED else None


def is_reported(folder: Path) -> bool:
    """Whether the folder has a report of its current results."""
    page, results, edits = folder / REPORT, folder / "metrics.json", folder / EDITS
    if not (page.exists() and results.exists()):
        return False
    newest = max(path.stat().st_mtime_ns for path in (results, edits) if path.exists())
    return page.stat().st_mtime_ns >= newest


def _write(run: report.Run, folder: Path, *, n_members: int, n_points: int, umap: bool) -> Path:
    clusters = []
    if run.probabilities is not None:
        clusters = describe.describe(
            run.embeddings,
            run.probabilities,
            sample_names=run.sample_names,
            texts=run.texts,
            n_members=n_members,
            stop_words=stop_words_of(run.config),
            names=run.edits.names,
            removed=run.edits.removed,
        )
    page = report.page(run, clusters, n_points=n_points, umap=umap)
    with full_disk_is_an_input_error(folder), replacing(folder / REPORT) as file:
        file.write(page)
    return folder / REPORT


def _run(
    config: dict[str, Any], samples: Samples, missing: dict[str, str], folder: Path, **found: Any
) -> report.Run:
    labels_true, labels = samples.labels_true, found.get("labels")
    return report.Run(
        config=config,
        n_clusters=_n_clusters(config, found),
        texts=samples.texts,
        labels_true=None if labels is None or labels_true is None else labels_true[: len(labels)],
        read=None if samples.images is None else samples.images.read,
        sounds=samples.sounds,
        graph=samples.graph,
        missing=missing,
        folder=folder,
        **found,
    )


def _n_clusters(config: dict[str, Any], found: dict[str, Any]) -> int:
    if found.get("probabilities") is not None:
        return found["probabilities"].shape[1]
    return int(config["run"]["stages"][-1]["method"]["n_clusters"])


def _files(folder: Path, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The contents of the result files, and a sentence about each missing one."""
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    finished = (folder / "metrics.json").exists()

    def read(part: str, name: str, how: Callable[[Path], Any]) -> None:
        path = folder / name
        try:
            if finished:
                check_checksums(folder, (name,))
            found[part] = how(path)
        except (OSError, ValueError, KeyError):
            reason = f"Its {name} is damaged" if path.exists() else f"The run folder has no {name}"
            reason = reason if finished else "The run is not finished"
            missing[part] = f"{reason}, so nothing is shown of the {part}."

    read("metrics", "metrics.json", lambda path: read_json(path))
    read("history", "metrics.jsonl", read_rows)
    n = int(config["run"]["data"].get("n_reported") or config["run"]["data"]["n_samples"])
    for part in ("probabilities", "embeddings"):
        read(part, f"{part}.npy", lambda path: _matrix(path, n))
    read("table", "assignments.csv", runfolder.read_assignments)
    missing.pop("table", None)
    names, labels = found.pop("table", (None, None))
    if names is not None and len(names) == n:
        found["sample_names"] = names
    edits = Edits.read(folder)
    if edits and found.get("probabilities") is not None:
        if found.get("embeddings") is None:
            missing["edits"] = "The embeddings are missing, so the edits of this run are not applied."
        else:
            found["edits"] = edits
            found["probabilities"], _ = edits.replay(found["embeddings"], found["probabilities"])
    if found.get("probabilities") is not None:
        found["labels"] = labels_of(found["probabilities"])
    elif labels is not None and len(labels) == n and labels.max(initial=0) < _n_clusters(config, {}):
        found["labels"] = labels
    else:
        missing["labels"] = missing["probabilities"].replace("of the probabilities", "of the clusters")
    return found, missing


def _matrix(path: Path, n: int) -> np.ndarray:
    x = read_array(path)
    if x.ndim != 2 or len(x) != n or not x.shape[1]:
        raise ValueError(f"{path} has shape {x.shape}")
    return x


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."

"""The run folder: what is in it, and when a run may go on in one.

``config.json`` says what the run is, ``metrics.jsonl`` grows as it goes, ``checkpoints/`` brings it
back after a kill. The results are written whole or not at all, ``metrics.json`` last: a folder that
has it is finished.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib
import json
import os
import platform
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from jaxdc.checkpoint import disk_is_full
from jaxdc.data import Source, StandardizedSource
from jaxdc.data.text import Fitted
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec
from jaxdc.stages import Experiment, Stage
from jaxdc.training.copies import WithCopies
from jaxdc.version import __version__

VECTORIZER = "vectorizer.npz"
SHARED_SECONDS = 20.0  # how long a network disk may take to show a new folder on another host


def describe(
    experiment: Experiment,
    source: Source,
    spec: DataSpec,
    *,
    recipe: str,
    seed: int,
    init_from: str | None = None,
) -> dict[str, Any]:
    """The content of ``config.json``. Two runs whose ``"run"`` entries agree are the same run."""
    device = jax.devices()[0]
    run = {
        "method": type(experiment.stages[-1].method).__name__,
        "recipe": recipe,
        "seed": seed,
        "init_from": init_from,
        "stages": [_describe_stage(stage) for stage in experiment.stages],
        "data": {
            "name": source.name,
            "protocol": source.protocol,
            "shape": list(spec.shape),
            "dtype": str(np.dtype(source.dtype)),
            "n_samples": spec.n_samples,
            "n_reported": spec.n_reported,
            "rms": spec.rms,
            "fingerprint": source.fingerprint(),
            "standardized": source.statistics if isinstance(source, StandardizedSource) else None,
            "views": None if source.views is None else dict(source.views),
            "copies": source.description if isinstance(source, WithCopies) else None,
            "vectorizer": None if source.fitted is None else _describe(source.fitted.vectorizer),
        },
    }
    environment = {
        "jaxdc": __version__,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "devices": f"{jax.device_count()} x {device.device_kind}",
    }
    return {"run": json.loads(json.dumps(run)), "opened": source.opened, "environment": environment}


def _describe_stage(stage: Stage) -> dict[str, Any]:
    settings = {f.name: getattr(stage, f.name) for f in dataclasses.fields(stage) if f.name != "method"}
    settings["optimizer"] = _describe(stage.optimizer)
    return {"method": _describe(stage.method), **settings}


def _describe(value: Any) -> Any:
    """A frozen dataclass, such as a method, by its class and fields; other values as they are."""
    if not dataclasses.is_dataclass(value):
        return value
    kind = type(value)
    fields = {f.name: _describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return {"class": f"{kind.__module__}:{kind.__qualname__}", **fields}


def experiment_of(config: dict[str, Any]) -> Experiment:
    """The stages that ``config.json`` names, made again."""
    return Experiment(
        tuple(
            Stage(**{name: _made_again(value) for name, value in settings.items()})
            for settings in config["run"]["stages"]
        )
    )


def _made_again(value: Any) -> Any:
    """What ``_describe`` described, after JSON, which has lists alone."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    fields = {name: _made_again(part) for name, part in value.items() if name != "class"}
    module, name = value["class"].split(":")
    try:
        kind: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{module}.{name}, of which this run tells, can't be imported ({error})") from error
    return kind(**fields)


def check_description(config: dict[str, Any], experiment: Experiment) -> None:
    """Raises InputError where the stages can't be made again from what ``config.json`` says of them."""
    if experiment_of(config) != experiment:
        raise InputError(
            "the settings of this experiment can't be written to config.json and read back; "
            "hyper-parameters must be numbers, texts, None, tuples of them, or frozen dataclasses of those"
        )


def spec_of(config: dict[str, Any]) -> DataSpec:
    """What the methods of this run knew of their data."""
    data = config["run"]["data"]
    widths = None if data.get("views") is None else tuple(data["views"].values())
    reported = data.get("n_reported")
    return DataSpec(tuple(data["shape"]), data["n_samples"], data["rms"], reported, data["dtype"], widths)


def spec_for(source: Source) -> DataSpec:
    """What the methods of a run on this source know of it."""
    widths = None if source.views is None else tuple(source.views.values())
    dtype = str(np.dtype(source.dtype))
    return DataSpec(source.shape, source.n_samples, source.rms(), source.n_reported, dtype, widths)


def is_finished(folder: Path, config: dict[str, Any], *, fresh: bool) -> bool:
    """Whether the folder holds this very run, whole. Writes nothing.

    Raises:
      InputError: the folder holds another run, or something that is no run.
    """
    if (folder / "config.json").exists():
        old = read_config(folder, check=not fresh)
        if fresh:
            return False
        check_same(folder, old, config)
        return (folder / "metrics.json").exists()
    check_free(folder)
    return False


def check_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raises InputError where the ``config.json`` of a folder tells of another run than the new one."""
    differences = list(_differences(old["run"], new["run"]))
    if differences:
        shown = "; ".join(differences[:3]) + ("; ..." if len(differences) > 3 else "")
        raise InputError(
            f"{folder} holds a run of another configuration ({shown}); "
            "choose another --workdir, or replace it with --fresh"
        )


def check_free(folder: Path) -> None:
    """Raises InputError where something is in the place of a run folder that is not there yet."""
    # A kill while config.json was written leaves its partial file, and nothing else.
    leftovers = {f".{name}.partial" for name in ("config.json", "metrics.json")}
    if folder.is_file() or (folder.is_dir() and {path.name for path in folder.iterdir()} - leftovers):
        raise InputError(f"{folder} exists and is no run folder; choose another --workdir")


def begin(folder: Path, config: dict[str, Any], *, fresh: bool, fitted: Fitted | None = None) -> None:
    """Makes the folder ready for a run that ``is_finished`` has let through.

    ``fitted`` is what makes vectors of texts: what it has learnt is kept for new ones.
    """
    with full_disk_is_an_input_error(folder):
        if fresh and (folder / "config.json").exists():
            # First out of the way, then away: a kill in between leaves no half of a run behind.
            aside = folder.with_name(f"{folder.name}.removed-{os.getpid()}")
            folder.rename(aside)
            shutil.rmtree(aside)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "config.json").exists():
            write_json(folder / "config.json", config)
        if fitted is not None and not (folder / VECTORIZER).exists():
            with replacing(folder / VECTORIZER, "wb") as file:
                np.savez_compressed(file, allow_pickle=False, **fitted.learned)


def read_fitted(folder: Path, config: dict[str, Any]) -> Fitted | None:
    """What makes vectors of new texts in a run on texts; None in any other."""
    described = config["run"]["data"].get("vectorizer")
    if described is None:
        return None
    try:
        with np.load(folder / VECTORIZER) as arrays:
            return Fitted(_made_again(described), dict(arrays))
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{folder / VECTORIZER} is missing or damaged: {error}") from error


def check_shared(folder: Path) -> None:
    """Raises InputError where a process does not see the folder that process 0 has made."""
    deadline = time.monotonic() + SHARED_SECONDS
    while not (folder / "config.json").exists():
        if time.monotonic() > deadline:
            raise InputError(
                f"{folder.absolute()}, which process 0 has made, is not there for process {jax.process_index()}: "
                "choose a --workdir on a disk that all hosts share"
            )
        time.sleep(0.5)


def read_config(folder: Path, *, check: bool = True) -> dict[str, Any]:
    """``config.json`` of a run folder; without ``check`` its stages need not be those of this version."""
    path = folder / "config.json"
    if not path.exists():
        raise InputError(f"{folder} is no run folder: it has no config.json")
    try:
        config = json.loads(path.read_text())
        if "kind" in config["run"]:
            raise InputError(f"{folder} holds {config['run']['kind']}, no run of a method")
        if not {"method", "stages", "data"} <= set(config["run"]):
            raise KeyError("stages")
        if check:
            experiment_of(config)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or not jaxdc's ({error}); choose another folder, or remove this one"
        ) from error
    return config


def remove_unstarted(folder: Path) -> None:
    """Takes a run folder away that has no checkpoint: its run was refused before it began."""
    checkpoints = folder / "checkpoints"
    if (folder / "config.json").exists() and not (checkpoints.is_dir() and any(checkpoints.glob("*/[0-9]*"))):
        shutil.rmtree(folder)


def _differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _differences(a, b, f"{name}[{i}]")
    elif old != new:
        yield f"{name} is {old!r} there and {new!r} here"


def write_results(
    folder: Path,
    *,
    embeddings: np.ndarray,
    probabilities: np.ndarray,
    sample_names: Sequence[str] | None,
    metrics: dict[str, Any],
) -> None:
    """All results of a finished run."""
    with full_disk_is_an_input_error(folder):
        for name, array in (("embeddings", embeddings), ("probabilities", probabilities)):
            with replacing(folder / f"{name}.npy", "wb") as file:
                np.save(file, array)
        with replacing(folder / "assignments.csv") as file:
            table = AssignmentTable(file)
            table.write(np.arange(len(probabilities)), probabilities, sample_names)
        write_json(folder / "metrics.json", metrics)


class AssignmentTable:
    """Rows ``sample,cluster,confidence``; the confidence is the probability of the cluster."""

    def __init__(self, file: IO[str]):
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(("sample", "cluster", "confidence"))

    def write(self, rows: np.ndarray, probabilities: np.ndarray, sample_names: Sequence[str] | None) -> None:
        """Adds samples; ``rows`` are their places in the data set."""
        labels, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
        names = rows.tolist() if sample_names is None else [sample_names[row] for row in rows]
        values = zip(names, labels.tolist(), (f"{c:.6f}" for c in confidence), strict=True)
        self._writer.writerows(values)


def read_sample_names(folder: Path) -> list[str] | None:
    """The names in ``assignments.csv``, or None where they are row numbers."""
    try:
        with (folder / "assignments.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            names = [row[0] for row in csv.reader(file)][1:]
    except (OSError, IndexError) as error:
        raise InputError(f"{folder / 'assignments.csv'} is missing or damaged: {error}") from error
    return None if names == [str(i) for i in range(len(names))] else names


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

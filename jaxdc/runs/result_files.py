"""The result files of a run, without its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jaxdc.errors import InputError
from jaxdc.reading import read_array
from jaxdc.runs import runfolder
from jaxdc.runs.checksums import check_checksums
from jaxdc.runs.config import read_config
from jaxdc.runs.edits import Edits
from jaxdc.train.labels import labels_of


class Results(NamedTuple):
    """The result files of a run with its edits, memory-mapped where there are none.

    Attributes:
      config: the content of ``config.json``.
      sample_names: names of the samples, or None.
      labels: cluster of each sample ``[n]``; -1 for one that belongs nowhere.
      probabilities: ``[n, k]``.
      embeddings: ``[n, d]``, or None if the file is missing.
      names: names of clusters by number.
    """

    config: dict[str, Any]
    sample_names: Sequence[str] | None
    labels: np.ndarray
    probabilities: np.ndarray
    embeddings: np.ndarray | None
    names: Mapping[int, str] = MappingProxyType({})


def read_results(folder: Path, say: Callable[[str], None], *, edited: bool = True) -> Results:
    """Reads the result files of a finished run.

    Args:
      folder: the run folder.
      say: told if the embeddings are missing or damaged, and therefore left out.
      edited: apply the edits of ``jaxdc edit``; False gives the clusters of the training.

    Raises:
      InputError: the run is not finished, or a file is missing or damaged that can't be left out.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    config = read_config(folder, check=False)
    if not (folder / "metrics.json").exists():
        raise InputError(f"the run in {folder} is not finished: run its train command again to resume it")
    check_checksums(folder, ("assignments.csv", "probabilities.npy"))
    names, labels = runfolder.read_assignments(folder / "assignments.csv")
    probabilities, embeddings = (_matrix(folder / f"{part}.npy") for part in ("probabilities", "embeddings"))
    if probabilities is None or len(probabilities) != len(labels):
        raise InputError(f"{folder / 'probabilities.npy'} is missing, or does not match assignments.csv")
    try:
        check_checksums(folder, ("embeddings.npy",))
    except InputError:
        embeddings = None
    if embeddings is None or len(embeddings) != len(labels):
        say(f"{folder / 'embeddings.npy'} is missing, damaged, or does not match assignments.csv: left out")
        embeddings = None
    edits = Edits.read(folder) if edited else Edits()
    if not edits:
        return Results(config, names, labels, probabilities, embeddings)
    if embeddings is None:
        raise InputError(f"{folder / 'embeddings.npy'} is missing, and the edits of this run can't do without it")
    probabilities, _ = edits.replay(embeddings, probabilities)
    return Results(config, names, labels_of(probabilities), probabilities, embeddings, edits.names)


def _matrix(path: Path) -> np.ndarray | None:
    try:
        x = read_array(path, mmap_mode="r")
    except InputError:
        return None
    return x if x.ndim == 2 else None

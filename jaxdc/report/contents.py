"""The contents of a page."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc.duplicates import Duplicates
from jaxdc.methods.base import Graph
from jaxdc.report.sounds import Sounds
from jaxdc.runs.edits import Edits
from jaxdc.train.labels import sizes_of

Read = Callable[[Iterator[np.ndarray]], Iterator[tuple[np.ndarray, np.ndarray]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Everything known about a run; what is unknown is None, and ``missing`` says why.

    Attributes:
      config: the content of ``config.json``.
      n_clusters: k, the number of columns of the probabilities.
      metrics: the content of ``metrics.json``.
      history: one dictionary a line of ``metrics.jsonl``.
      labels: cluster of each sample ``[n]``; -1 for one that belongs nowhere.
      probabilities: ``[n, k]``.
      embeddings: ``[n, d]``.
      sample_names: a name for each, or None where the row is the name.
      texts: the documents, where the samples are such.
      labels_true: classes ``[n]``.
      read: samples that are images, by their rows, as ``jaxdc.data.Source.read`` gives them.
      sounds: samples that are recordings, to listen to, or None.
      graph: the edges between the samples, of a network, or None.
      missing: a sentence on each of "metrics", "history", "labels", "probabilities", "embeddings" and "samples"
        that could not be read.
      edits: changes to the clusters after training, which the labels and probabilities include.
      duplicates: equal and nearly equal samples, or None if they were not looked for.
      folder: the run folder, for commands to copy; None if it is not known.
    """

    config: Mapping[str, Any]
    n_clusters: int
    metrics: Mapping[str, Any] | None = None
    history: Sequence[Mapping[str, Any]] = ()
    labels: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    embeddings: np.ndarray | None = None
    sample_names: Sequence[str] | None = None
    texts: Sequence[str] | None = None
    labels_true: np.ndarray | None = None
    read: Read | None = None
    sounds: Sounds | None = None
    graph: Graph | None = None
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    edits: Edits = Edits()  # noqa: RUF009
    duplicates: Duplicates | None = None
    folder: Path | None = None

    @property
    def title(self) -> str:
        """Method and data."""
        return f"{self.config['run']['method']} on {Path(self.config['run']['data']['name']).name}"

    @property
    def sizes(self) -> np.ndarray | None:
        """Number of samples in each cluster ``[k]``."""
        return None if self.labels is None else sizes_of(self.labels, self.n_clusters)

    @property
    def clusters(self) -> list[int]:
        """Numbers of the clusters, without those that were merged or dropped."""
        return [c for c in range(self.n_clusters) if c not in self.edits.removed]

    def name_of(self, cluster: int) -> str:
        """The number of a cluster, and its name if it has one."""
        name = self.edits.names.get(cluster)
        return str(cluster) if name is None else f"{cluster} ({name})"

    def without_folder(self) -> tuple[str, Sequence[str] | None]:
        """The folder that all samples lie in, "" for none, and their names below it."""
        names = self.sample_names
        if not names or not all(os.path.dirname(name) for name in names):
            return "", names
        try:
            folder = os.path.commonpath([os.path.dirname(name) for name in names])
        except ValueError:  # some from the root, some not
            return "", names
        if not folder:
            return "", names
        return folder, [os.path.relpath(name, folder) for name in names]

"""Edits the clusters of a run, as a new state that every command uses; ``undo`` returns to the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from jaxdc.errors import InputError
from jaxdc.runs import runfolder
from jaxdc.runs.edits import Divide, Drop, Edit, Edits, Merge, Reject, Rename, Score
from jaxdc.runs.lock import RunLock
from jaxdc.runs.result_files import read_results
from jaxdc.train.labels import labels_of, sizes_of
from jaxdc.writing import full_disk_is_an_input_error, replacing

TABLE = "edited.csv"


class Edited(NamedTuple):
    """The state of a run after an edit.

    Attributes:
      edits: all its edits.
      labels: cluster of each sample ``[n]``; -1 for one that belongs nowhere.
      sizes: samples of each cluster ``[k]``.
      said: what has changed, a sentence each.
    """

    edits: Edits
    labels: np.ndarray
    sizes: np.ndarray
    said: list[str]


def edit_run(
    folder: str | Path,
    *,
    merge: Sequence[Sequence[int]] = (),
    divide: Sequence[int] = (),
    n_parts: int = 2,
    rename: Sequence[tuple[int, str]] = (),
    drop: Sequence[int] = (),
    reject: float | None = None,
    reject_by: Score = "distance",
    undo: bool = False,
) -> Edited:
    """Edits the clusters of a run: first merges, then divides, renames, drops and rejects.

    Nothing is lost: the results of the training stay, ``edits.json`` records the edits, and ``edited.csv`` is the
    new ``assignments.csv``. Clusters keep their numbers; the parts of a divided one get new numbers at the end.

    Args:
      folder: folder of a finished run.
      merge: groups of clusters that become one each, with the number of the first.
      divide: clusters to divide, by k-means on the embeddings of their samples.
      n_parts: number of parts.
      rename: clusters and their names; an empty name removes one.
      drop: clusters whose samples then belong nowhere.
      reject: share of the samples that then belong nowhere, those that fit their cluster worst.
      reject_by: what they are chosen by: "distance" from the mean of their cluster, relative to the cluster's
        median distance, or low "confidence".
      undo: take back the edits of the last call instead.

    Returns:
      The new state.

    Raises:
      InputError: the run is not finished or in use, a cluster does not exist, or an edit is impossible.
    """
    folder = Path(folder)
    missing: list[str] = []
    trained = read_results(folder, missing.append, edited=False)
    embeddings, probabilities, names = trained.embeddings, trained.probabilities, trained.sample_names
    if embeddings is None:
        raise InputError(f"clusters can't be edited without embeddings: {missing[0]}")
    lock = RunLock(folder)
    lock.take()
    try:
        edits = Edits.read(folder)
        if undo:
            if merge or divide or rename or drop or reject is not None:
                raise InputError("undo takes back the last edit, and can't be combined with another")
            if not edits:
                raise InputError(f"{folder} has no edit to undo")
            said = [f"undone: {edit}" for edit in edits.steps[-1]]
            edits = Edits(edits.steps[:-1])
            state = _State(edits, embeddings, probabilities)
        else:
            state = _State(edits, embeddings, probabilities)
            wanted = _wanted(merge, divide, n_parts, rename, drop, reject, reject_by)
            said = [state.add(make) for make in wanted]
            if state.step:
                edits = Edits((*edits.steps, tuple(state.step)))
        if not undo and not said:
            said = [str(edit) for edit in edits] or ["no edits"]
            return Edited(edits, state.labels, state.sizes, said)
        with full_disk_is_an_input_error(folder):
            _write(folder, edits, state.probabilities, names)
        return Edited(edits, state.labels, state.sizes, said)
    finally:
        lock.release()


Make = Callable[["_State"], Edit]


def _wanted(
    merge: Sequence[Sequence[int]],
    divide: Sequence[int],
    n_parts: int,
    rename: Sequence[tuple[int, str]],
    drop: Sequence[int],
    reject: float | None,
    reject_by: Score,
) -> Iterator[Make]:
    if n_parts < 2:
        raise InputError(f"n_parts must be at least 2, but is {n_parts}")
    if reject is not None and not 0 < reject < 1:
        raise InputError(f"reject is a share of the samples, above 0 and below 1, but is {reject:g}")
    if reject_by not in get_args(Score):
        raise InputError(f"reject_by must be one of {', '.join(get_args(Score))}, but is {reject_by!r}")
    for group in merge:
        yield lambda state, group=group: state.merge(group)
    for cluster in divide:
        yield lambda state, cluster=cluster: state.divide(cluster, n_parts)
    for cluster, name in rename:
        yield lambda state, cluster=cluster, name=name: Rename(state.checked(cluster), " ".join(name.split()))
    for cluster in drop:
        yield lambda state, cluster=cluster: Drop(state.checked(cluster))
    if reject is not None:
        yield lambda state: Reject(reject, reject_by)


class _State:
    """The clusters while they are edited."""

    def __init__(self, edits: Edits, embeddings: np.ndarray, trained: np.ndarray):
        self.edits, self.embeddings, self.step = edits, embeddings, []
        self.probabilities, _ = edits.replay(embeddings, trained)

    @property
    def labels(self) -> np.ndarray:
        return labels_of(self.probabilities)

    @property
    def sizes(self) -> np.ndarray:
        return sizes_of(self.labels, self.probabilities.shape[1])

    def add(self, make: Make) -> str:
        """Makes an edit, applies it, and says what has changed."""
        before = self.labels
        edit = make(self)
        self.probabilities = edit.fitted(self.embeddings, self.probabilities)(self.embeddings, self.probabilities)
        after = self.labels
        if not (after >= 0).any():
            raise InputError(f"{edit}: no sample is left in any cluster")
        self.step.append(edit)
        said = str(edit)
        if isinstance(edit, Divide):
            said += f": {', '.join(f'{self.sizes[c]:,}' for c in edit.parts)} samples"
        if isinstance(edit, Merge):
            said += f": {self.sizes[edit.clusters[0]]:,} samples"
        if isinstance(edit, Drop | Reject):
            said += f": {int((before >= 0).sum() - (after >= 0).sum()):,} samples belong nowhere now"
            emptied = sorted(set(before[before >= 0].tolist()) - set(after.tolist()) - self.removed)
            if emptied:
                said += f"; no sample is left in cluster {', '.join(map(str, emptied))}"
        return said

    @property
    def removed(self) -> set[int]:
        return Edits((*self.edits.steps, tuple(self.step))).removed

    def checked(self, cluster: int) -> int:
        """The number of a cluster that is there."""
        k = self.probabilities.shape[1]
        if not 0 <= cluster < k:
            raise InputError(f"there is no cluster {cluster}: their numbers are 0 to {k - 1}")
        if cluster in self.removed:
            raise InputError(f"there is no cluster {cluster} any more: it was merged or dropped (see --undo)")
        return int(cluster)

    def merge(self, clusters: Sequence[int]) -> Merge:
        numbers = tuple(self.checked(c) for c in clusters)
        if len(set(numbers)) < 2 or len(set(numbers)) < len(numbers):
            raise InputError(f"merge takes two or more different clusters, but got {', '.join(map(str, numbers))}")
        return Merge(numbers)

    def divide(self, cluster: int, n_parts: int) -> Divide:
        import jax
        import jax.numpy as jnp

        from jaxdc.cluster import k_means

        cluster, k = self.checked(cluster), self.probabilities.shape[1]
        own = self.embeddings[self.labels == cluster]
        n_different = len(np.unique(own, axis=0))
        if n_different < n_parts:
            raise InputError(
                f"cluster {cluster} can't be divided into {n_parts}: it has {n_different:,} different embeddings"
            )
        found = k_means(jax.random.key(0), jnp.asarray(own), n_parts, n_init=10)
        order = np.argsort(-np.bincount(np.asarray(found.labels), minlength=n_parts), kind="stable")
        centroids = np.asarray(found.centroids, np.float64)[order]
        return Divide((cluster, *range(k, k + n_parts - 1)), tuple(map(tuple, centroids.tolist())))


def _write(folder: Path, edits: Edits, probabilities: np.ndarray, names: Sequence[str] | None) -> None:
    if edits:
        with replacing(folder / TABLE) as file:
            table = runfolder.AssignmentTable(file, edits.names)
            table.write(np.arange(len(probabilities)), probabilities, names)
    else:
        (folder / TABLE).unlink(missing_ok=True)
    edits.write(folder)

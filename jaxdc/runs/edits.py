"""Changes to a finished clustering: clusters merged, divided, renamed or dropped, and outliers rejected.

A run folder keeps them in ``edits.json``; the results of the training stay as they are. Whoever reads the run
replays the edits on its probabilities, and applies them to new samples in the same way. A cluster keeps its number
for good: one that was merged into another or dropped leaves a column of zeros, and a division appends columns.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np

from jaxdc.errors import InputError
from jaxdc.reading import read_json
from jaxdc.train.labels import labels_of
from jaxdc.writing import write_json

NAME = "edits.json"
Score = Literal["distance", "confidence"]


class Apply(Protocol):
    """Changes the probabilities ``[b, k]`` of samples with features ``[b, d]``, row by row."""

    def __call__(self, embeddings: np.ndarray, probabilities: np.ndarray) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Merge:
    """Several clusters become one, which has the number of the first.

    Attributes:
      clusters: their numbers.
    """

    kind: ClassVar[str] = "merge"
    clusters: tuple[int, ...]

    def fitted(self, embeddings: np.ndarray, probabilities: np.ndarray) -> Apply:
        return self

    def __call__(self, embeddings: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        into, *others = self.clusters
        merged = probabilities.copy()
        merged[:, into] = probabilities[:, list(self.clusters)].sum(axis=1)
        merged[:, others] = 0
        return merged

    def __str__(self) -> str:
        into, *others = self.clusters
        return f"merged {_listed(others)} into {into}"


@dataclasses.dataclass(frozen=True)
class Divide:
    """A cluster becomes several: its samples go to the nearest of these centroids.

    Attributes:
      parts: numbers of the parts; the first is the number of the divided cluster.
      centroids: one per part, in the embedding ``[parts, d]``.
    """

    kind: ClassVar[str] = "divide"
    parts: tuple[int, ...]
    centroids: tuple[tuple[float, ...], ...]

    def fitted(self, embeddings: np.ndarray, probabilities: np.ndarray) -> Apply:
        return self

    def __call__(self, embeddings: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        (_, k), means = probabilities.shape, np.asarray(self.centroids, embeddings.dtype)
        if self.parts[1:] != tuple(range(k, k + len(self.parts) - 1)) or means.shape[1] != embeddings.shape[1]:
            raise ValueError(f"there are {k} clusters and {embeddings.shape[1]} features")
        divided = np.pad(probabilities, ((0, 0), (0, len(self.parts) - 1)))
        apart = np.stack([np.linalg.norm(embeddings - mean[None, :], axis=1) for mean in means], axis=1)
        own = divided[:, self.parts[0]].copy()
        divided[:, self.parts[0]] = 0
        divided[np.arange(len(divided)), np.asarray(self.parts)[apart.argmin(axis=1)]] = own
        return divided

    def __str__(self) -> str:
        return f"divided {self.parts[0]} into {_listed(self.parts)}"


@dataclasses.dataclass(frozen=True)
class Rename:
    """A cluster gets a name, which stands beside its number.

    Attributes:
      cluster: its number.
      name: the name; an empty one removes the name.
    """

    kind: ClassVar[str] = "rename"
    cluster: int
    name: str

    def fitted(self, embeddings: np.ndarray, probabilities: np.ndarray) -> Apply:
        return self

    def __call__(self, embeddings: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return probabilities

    def __str__(self) -> str:
        return f'named {self.cluster} "{self.name}"' if self.name else f"removed the name of {self.cluster}"


@dataclasses.dataclass(frozen=True)
class Drop:
    """The samples of a cluster belong nowhere.

    Attributes:
      cluster: its number.
    """

    kind: ClassVar[str] = "drop"
    cluster: int

    def fitted(self, embeddings: np.ndarray, probabilities: np.ndarray) -> Apply:
        return self

    def __call__(self, embeddings: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        left = probabilities.copy()
        left[labels_of(probabilities) == self.cluster] = 0
        left[:, self.cluster] = 0
        total = left.sum(axis=1, keepdims=True)
        return np.divide(left, total, out=left, where=total > 0)

    def __str__(self) -> str:
        return f"dropped {self.cluster}"


@dataclasses.dataclass(frozen=True)
class Reject:
    """The samples that fit their cluster worst belong nowhere.

    The threshold is the score that a share of the training samples exceeds, so choosing it needs no labels. New
    samples are held against the same threshold: about the same share of similar data is rejected, and more of
    other data.

    Attributes:
      share: share of the training samples that are in a cluster, above 0 and below 1.
      by: "distance" from the mean of the cluster, in units of the cluster's median distance, or "confidence".
    """

    kind: ClassVar[str] = "reject"
    share: float
    by: Score = "distance"

    def fitted(self, embeddings: np.ndarray, probabilities: np.ndarray) -> Apply:
        labels, k = labels_of(probabilities), probabilities.shape[1]
        means, spreads = np.zeros((k, embeddings.shape[1])), np.ones(k)
        if self.by == "distance":
            for c in np.unique(labels[labels >= 0]).tolist():
                own = embeddings[labels == c].astype(np.float64)
                own = own[np.isfinite(own).all(axis=1)]
                if len(own):
                    means[c] = own.mean(axis=0)
                    spreads[c] = np.median(np.linalg.norm(own - means[c][None, :], axis=1))
        rejection = _Rejection(means, spreads, math.inf, self.by)
        scores = np.sort(rejection.scores(embeddings, probabilities)[labels >= 0])
        n_kept = len(scores) - int(self.share * len(scores))
        return dataclasses.replace(rejection, threshold=float(scores[n_kept - 1]) if n_kept else -math.inf)

    def __str__(self) -> str:
        by = "distance from their cluster" if self.by == "distance" else "lack of confidence"
        return f"rejected {self.share:.3g} of the samples by {by}"


@dataclasses.dataclass(frozen=True)
class _Rejection:
    """A threshold on the score of outliers, as it was found on the training samples."""

    means: np.ndarray
    spreads: np.ndarray
    threshold: float
    by: Score

    def scores(self, embeddings: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        if self.by == "confidence":
            return 1 - probabilities.max(axis=1)
        labels = np.maximum(labels_of(probabilities), 0)
        apart = np.linalg.norm(embeddings.astype(np.float64) - self.means[labels], axis=1)
        spreads = self.spreads[labels]
        scores = np.divide(apart, spreads, out=np.where(apart > 0, math.inf, 0.0), where=spreads > 0)
        return np.where(np.isfinite(apart), scores, math.inf)

    def __call__(self, embeddings: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        outside = self.scores(embeddings, probabilities) > self.threshold
        return np.where(outside[:, None], np.zeros((), probabilities.dtype), probabilities)


Edit = Merge | Divide | Rename | Drop | Reject
KINDS: dict[str, type[Edit]] = {kind.kind: kind for kind in get_args(Edit)}


@dataclasses.dataclass(frozen=True)
class Edits:
    """The edits of a run, in their order.

    Attributes:
      steps: the edits of each command, which are undone together.
    """

    steps: tuple[tuple[Edit, ...], ...] = ()

    def __iter__(self):
        return (edit for step in self.steps for edit in step)

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def names(self) -> dict[int, str]:
        """Names of the clusters that have one, by number."""
        names: dict[int, str] = {}
        for edit in self:
            if isinstance(edit, Rename):
                names[edit.cluster] = edit.name
        return {c: name for c, name in names.items() if name and c not in self.removed}

    @property
    def removed(self) -> set[int]:
        """Numbers that stand for no cluster any more."""
        merged = {c for edit in self if isinstance(edit, Merge) for c in edit.clusters[1:]}
        return merged | {edit.cluster for edit in self if isinstance(edit, Drop)}

    def parts_of(self, cluster: int, n_trained: int) -> list[int]:
        """The clusters of the training, of which there are ``n_trained``, that a cluster consists of.

        Raises:
          InputError: there is no such cluster, or it is a part of one of the training.
        """
        parts: dict[int, list[int]] = {c: [c] for c in range(n_trained)}
        for edit in self:
            if isinstance(edit, Merge):
                parts[edit.clusters[0]] = [part for c in edit.clusters for part in parts[c]]
            elif isinstance(edit, Divide):
                parts.update((c, []) for c in edit.parts)  # no whole cluster
        if cluster not in parts or cluster in self.removed:
            left = [c for c in sorted(parts) if c not in self.removed]
            raise InputError(f"there is no cluster {cluster}: this run has {', '.join(map(str, left))}")
        if not parts[cluster]:
            raise InputError(f"cluster {cluster} was divided after the training, which knows only the whole")
        return parts[cluster]

    def replay(self, embeddings: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, tuple[Apply, ...]]:
        """Edits the training samples.

        Args:
          embeddings: their features ``[n, d]``.
          probabilities: as the training left them ``[n, k]``.

        Returns:
          The edited probabilities, and what edits those of new samples.

        Raises:
          InputError: an edit is of another run: it names a cluster or a width that this one does not have.
        """
        fitted = []
        for edit in self:
            try:
                fitted.append(edit.fitted(embeddings, probabilities))
                probabilities = fitted[-1](embeddings, probabilities)
            except (IndexError, ValueError) as error:
                raise InputError(f"{NAME} does not belong to this run: {edit} is impossible ({error})") from error
        return probabilities, tuple(fitted)

    def write(self, folder: Path) -> None:
        """Writes ``edits.json`` into a run folder, or removes it if there are none."""
        if not self.steps:
            (folder / NAME).unlink(missing_ok=True)
            return
        steps = [[{"kind": edit.kind, **dataclasses.asdict(edit)} for edit in step] for step in self.steps]
        write_json(folder / NAME, {"steps": steps})

    @classmethod
    def read(cls, folder: Path) -> Edits:
        """Reads ``edits.json`` of a run folder; none if there is no such file.

        Raises:
          InputError: the file is damaged.
        """
        path = folder / NAME
        if not path.exists():
            return cls()
        try:
            content = read_json(path)
            return cls(tuple(tuple(_edit_of(one) for one in step) for step in content["steps"]))
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} is damaged ({type(error).__name__}: {error}): restore it, or remove it to return to the "
                "clusters of the training"
            ) from error


def applied(fitted: Iterable[Apply], embeddings: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The probabilities of new samples ``[b, k]`` after the edits that ``replay`` has fitted."""
    for apply in fitted:
        probabilities = apply(embeddings, probabilities)
    return probabilities


def _edit_of(described: Mapping[str, Any]) -> Edit:
    fields = {name: value for name, value in described.items() if name != "kind"}
    kind = described["kind"]
    if kind == "merge":
        edit = Merge(_numbers(fields.pop("clusters"), at_least=2))
    elif kind == "divide":
        parts = _numbers(fields.pop("parts"), at_least=2)
        centroids = np.asarray(fields.pop("centroids"), np.float64)
        if centroids.ndim != 2 or len(centroids) != len(parts) or not np.isfinite(centroids).all():
            raise ValueError(f"centroids of shape {centroids.shape}")
        edit = Divide(parts, tuple(map(tuple, centroids.tolist())))
    elif kind == "rename":
        edit = Rename(_number(fields.pop("cluster")), str(fields.pop("name")))
    elif kind == "drop":
        edit = Drop(_number(fields.pop("cluster")))
    elif kind == "reject":
        share, by = float(fields.pop("share")), fields.pop("by")
        if not 0 < share < 1 or by not in get_args(Score):
            raise ValueError(f"a share of {share} by {by!r}")
        edit = Reject(share, by)
    else:
        raise ValueError(f"an unknown kind {kind!r}")
    if fields:
        raise ValueError(f"an unknown entry {next(iter(fields))!r}")
    return edit


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**20:
        raise ValueError(f"{value!r} is no number of a cluster")
    return value


def _numbers(values: Any, *, at_least: int) -> tuple[int, ...]:
    numbers = tuple(_number(value) for value in values)
    if len(set(numbers)) != len(numbers) or len(numbers) < at_least:
        raise ValueError(f"the clusters {numbers}")
    return numbers


def _listed(clusters: Sequence[int]) -> str:
    *first, last = map(str, clusters)
    return f"{', '.join(first)} and {last}" if first else last

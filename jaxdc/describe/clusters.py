"""The description of each cluster of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxdc.describe.members import central_members, cluster_means, doubtful_members
from jaxdc.describe.summary import summarize
from jaxdc.describe.terms import class_terms
from jaxdc.train.labels import labels_of, sizes_of

SUMMARIZED = 50  # number of central documents whose sentences a summary is chosen from


class Member(NamedTuple):
    """A sample of a cluster: its row, its name, its confidence, and its text, if any."""

    row: int
    sample: str
    confidence: float
    text: str | None = None


class Cluster(NamedTuple):
    """The description of a cluster.

    Attributes:
      cluster: number of the cluster.
      size: number of samples.
      share: share of all samples.
      terms: terms that distinguish it from the others, heaviest first; empty if the samples are not texts.
      summary: sentences from its most central documents.
      central: its most central samples, nearest to its mean first.
      doubtful: the samples that are closest to belonging to another cluster.
      name: name that a user gave it, or None.
    """

    cluster: int
    size: int
    share: float
    terms: list[str]
    summary: list[str]
    central: list[Member]
    doubtful: list[Member]
    name: str | None = None

    def as_dict(self) -> dict:
        """The description for JSON; members without a text have no such entry."""
        members = {
            name: [{k: v for k, v in one._asdict().items() if v is not None} for one in getattr(self, name)]
            for name in ("central", "doubtful")
        }
        return {**self._asdict(), **members}


def describe(
    embeddings: np.ndarray | None,
    probabilities: np.ndarray,
    *,
    sample_names: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    n_terms: int = 10,
    n_members: int = 5,
    n_sentences: int = 3,
    stop_words: str | None = "english",
    names: Mapping[int, str] | None = None,
    removed: Collection[int] = (),
) -> list[Cluster]:
    """Describes each cluster.

    Args:
      embeddings: features of all samples ``[n, d]``; without them there are no central members and no summary.
      probabilities: cluster probabilities ``[n, k]``; zeros for a sample that belongs nowhere.
      sample_names: name of each sample; None uses its row.
      texts: the documents, if the samples are texts.
      n_terms: maximum number of terms per cluster.
      n_members: maximum number of central samples, and of doubtful ones, per cluster.
      n_sentences: maximum number of sentences in a summary.
      stop_words: "english", or None for texts in another language.
      names: names that a user gave to clusters, by number.
      removed: clusters that were merged into others or dropped, which are left out.

    Returns:
      A description per cluster, largest cluster first; empty ones at the end.
    """
    labels, k, names = labels_of(probabilities), probabilities.shape[1], names or {}
    means = None if embeddings is None else cluster_means(embeddings, labels, k)
    terms = [[] for _ in range(k)]
    if texts is not None:
        terms = class_terms(texts, labels, k, n_terms=n_terms, stop_words=stop_words)

    def member(row: int) -> Member:
        name = str(row) if sample_names is None else str(sample_names[row])
        return Member(row, name, float(probabilities[row].max()), None if texts is None else texts[row])

    sizes = sizes_of(labels, k)
    described = []
    for c in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[c])
        if size == 0:
            if c not in removed:
                described.append(Cluster(c, 0, 0.0, [], [], [], [], names.get(c)))
            continue
        nearest = np.zeros(0, int)
        if embeddings is not None and means is not None:
            nearest = central_members(embeddings, labels, means, c, max(n_members, SUMMARIZED))
        summary = [] if texts is None else summarize([str(texts[row]) for row in nearest], n_sentences)
        central = [member(row) for row in nearest[:n_members].tolist()]
        doubt = doubtful_members(embeddings, probabilities, means, c, n_members, labels=labels)
        doubtful = [member(row) for row in doubt.tolist()]
        share = size / len(labels)
        described.append(Cluster(c, size, share, terms[c], summary, central, doubtful, names.get(c)))
    return described

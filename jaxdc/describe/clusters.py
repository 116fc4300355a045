"""Everything that is said of each cluster of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxdc.describe.members import central_members, cluster_means, doubtful_members
from jaxdc.describe.summary import summarize
from jaxdc.describe.terms import class_terms

SUMMARIZED = 50  # of the most central documents, those whose sentences a summary is taken from


class Member(NamedTuple):
    """A sample of a cluster: its row, its name, its confidence, and its text, if it is one."""

    row: int
    sample: str
    confidence: float
    text: str | None = None


class Cluster(NamedTuple):
    """What is known of a cluster.

    Attributes:
      cluster: its number.
      size: how many samples it has.
      share: of all samples.
      terms: that tell it from the others, the heaviest first; none where the samples are no texts.
      summary: sentences of its most central documents.
      central: its most central samples, the nearest to its mean first.
      doubtful: those that are nearest to belonging elsewhere.
    """

    cluster: int
    size: int
    share: float
    terms: list[str]
    summary: list[str]
    central: list[Member]
    doubtful: list[Member]

    def as_dict(self) -> dict:
        """What JSON takes; members without a text have none."""
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
) -> list[Cluster]:
    """Describes each cluster.

    Args:
      embeddings: features of all samples ``[n, d]``; without them nobody is central, and nothing summarized.
      probabilities: of every cluster ``[n, k]``.
      sample_names: a name for each sample; else its row.
      texts: the documents, if the samples are such.
      n_terms: at most so many terms a cluster.
      n_members: at most so many central and so many doubtful samples.
      n_sentences: at most so many in a summary.
      stop_words: "english", or None for texts in another language.

    Returns:
      A description a cluster, the largest cluster first; empty ones at the end.
    """
    labels, k = probabilities.argmax(axis=1), probabilities.shape[1]
    means = None if embeddings is None else cluster_means(embeddings, labels, k)
    terms = [[] for _ in range(k)]
    if texts is not None:
        terms = class_terms(texts, labels, k, n_terms=n_terms, stop_words=stop_words)

    def member(row: int) -> Member:
        name = str(row) if sample_names is None else str(sample_names[row])
        return Member(row, name, float(probabilities[row].max()), None if texts is None else texts[row])

    sizes = np.bincount(labels, minlength=k)
    described = []
    for c in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[c])
        if size == 0:
            described.append(Cluster(c, 0, 0.0, [], [], [], []))
            continue
        nearest = np.zeros(0, int)
        if embeddings is not None and means is not None:
            nearest = central_members(embeddings, labels, means, c, max(n_members, SUMMARIZED))
        summary = [] if texts is None else summarize([str(texts[row]) for row in nearest], n_sentences)
        central = [member(row) for row in nearest[:n_members].tolist()]
        doubt = doubtful_members(embeddings, probabilities, means, c, n_members, labels=labels)
        doubtful = [member(row) for row in doubt.tolist()]
        described.append(Cluster(c, size, size / len(labels), terms[c], summary, central, doubtful))
    return described

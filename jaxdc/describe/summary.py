"""A few sentences that stand for many documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

LONGEST = 40  # words; texts without punctuation are cut into pieces of so many


def sentences_of(text: str) -> list[str]:
    """The sentences of a text; what has too many words for one is cut."""
    pieces = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n\s*\n", text):
        words = sentence.split()
        pieces += [" ".join(words[i : i + LONGEST]) for i in range(0, len(words), LONGEST)]
    return pieces


def summarize(texts: Sequence[str], n_sentences: int = 3, *, relevance: float = 0.5) -> list[str]:
    """Central sentences that differ from each other: maximal marginal relevance (Carbonell and Goldstein, 1998).

    One after the other, the sentence of the highest ``relevance * s(sentence, all) - (1 - relevance) * max
    s(sentence, one that is taken)`` is taken, s the cosine of tf-idf vectors, "all" their mean.

    Args:
      texts: documents, such as the most central ones of a cluster.
      n_sentences: at most so many.
      relevance: from 0, as different as can be, to 1, as central as can be.

    Returns:
      Sentences, in the order of the documents.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    sentences = list(dict.fromkeys(piece for text in texts for piece in sentences_of(text)))
    if len(sentences) <= n_sentences:
        return sentences
    try:
        x: Any = TfidfVectorizer().fit_transform(sentences)
    except ValueError:  # not one term in all of them
        return sentences[:n_sentences]
    mean: Any = normalize(np.asarray(x.mean(axis=0)))
    central = np.asarray(x @ mean.T).ravel()
    taken, likeness = [], np.zeros(len(sentences))
    for _ in range(n_sentences):
        score = relevance * central - (1 - relevance) * likeness
        score[taken] = -np.inf
        best = int(np.argmax(score))
        taken.append(best)
        likeness = np.maximum(likeness, np.asarray((x @ x[best].T).todense()).ravel())
    return [sentences[i] for i in sorted(taken)]

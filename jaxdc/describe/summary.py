"""Extractive summaries of many documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdc.data.text.terms import TERMS

LONGEST = 40  # words per sentence; longer ones are cut


def sentences_of(text: str) -> list[str]:
    """Splits a text into sentences; those with too many words are cut."""
    pieces = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n\s*\n", text):
        words = sentence.split()
        pieces += [" ".join(words[i : i + LONGEST]) for i in range(0, len(words), LONGEST)]
    return pieces


def summarize(texts: Sequence[str], n_sentences: int = 3, *, relevance: float = 0.5) -> list[str]:
    """Central sentences that differ from each other: maximal marginal relevance (Carbonell and Goldstein, 1998).

    Repeatedly takes the sentence with the highest ``relevance * s(sentence, all) - (1 - relevance) * max
    s(sentence, one already taken)``, where s is the cosine of tf-idf vectors and "all" their mean.

    Args:
      texts: documents, such as the most central ones of a cluster.
      n_sentences: maximum number of sentences.
      relevance: from 0 (as different as possible) to 1 (as central as possible).

    Returns:
      Sentences, in the order of the documents.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    sentences = list(dict.fromkeys(piece for text in texts for piece in sentences_of(text)))
    if len(sentences) <= n_sentences:
        return sentences
    try:
        x: Any = TfidfVectorizer(**TERMS).fit_transform(sentences)
    except ValueError:  # the texts contain no term
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

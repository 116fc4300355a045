"""The terms that distinguish a cluster of documents from the others: class-based tf-idf."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxdc.data.text.terms import TERMS


def class_terms(
    texts: Sequence[str],
    labels: np.ndarray,
    n_clusters: int,
    *,
    n_terms: int = 10,
    stop_words: str | None = "english",
) -> list[list[str]]:
    """Class-based tf-idf (Grootendorst, 2022, arXiv 2203.05794, equation 2).

    All documents of a cluster count as one: ``tf(t, c) log(1 + A / f(t))``, with tf the term's share of the
    cluster's terms, f its count in all clusters, and A the mean number of terms per cluster.

    Args:
      texts: documents.
      labels: cluster of each document.
      n_clusters: number of clusters; some may be empty.
      n_terms: maximum number of terms per cluster.
      stop_words: "english", or None to keep all words.

    Returns:
      The terms of each cluster, heaviest first; none for an empty cluster.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        vectorizer = CountVectorizer(stop_words=stop_words, **TERMS)
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # the texts contain no term
        return [[] for _ in range(n_clusters)]
    names = vectorizer.get_feature_names_out()
    of_class = np.stack([np.asarray(counts[labels == c].sum(axis=0)).ravel() for c in range(n_clusters)])
    totals = of_class.sum(axis=1, keepdims=True)
    mean_total = totals.sum() / max(np.count_nonzero(totals), 1)
    weights = of_class / np.maximum(totals, 1) * np.log1p(mean_total / of_class.sum(axis=0))[None, :]
    heaviest = np.argsort(-weights, axis=1, kind="stable")[:, :n_terms]
    return [[str(names[t]) for t in row if weights[c, t] > 0] for c, row in enumerate(heaviest)]

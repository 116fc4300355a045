"""Expands short texts by the clusters of their words.

Shen et al., 2018 (arXiv 1812.01885): two short texts on the same subject often share no word, but words with
similar meanings have nearby vectors and share a cluster, so each word is expanded by its cluster.

Differs from the paper in: the clusters come from k-means, instead of agglomerative clustering; a text is the sum
over its words and works with any classifier or clusterer, while the paper passes the words in order to a
convolutional or recurrent network; the words themselves (tf-idf) are kept next to the expansion; by default a word
contributes its vector and the identity of its cluster, in the paper the centroid (also available in ``parts``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args
from typing import Literal as Choice

import jax
import numpy as np

from jaxdc import cluster
from jaxdc.data.text.skip_gram import SkipGram
from jaxdc.data.text.terms import TERMS
from jaxdc.data.text.tfidf import TfIdf
from jaxdc.data.text.vectorizer import Vectorizer, silent
from jaxdc.data.text.word_vectors import WordVectors, read_word_vectors
from jaxdc.errors import InputError
from jaxdc.settings import seed_of

Part = Choice["words", "clusters", "vectors", "centroids"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordClusters(Vectorizer):
    """tf-idf of words, plus their word vectors and word clusters.

    Each part of a text's vector has unit length, or is zero if the text has no word for it:

    - ``"words"``: tf-idf of the words, as ``TfIdf`` makes it;
    - ``"clusters"``: tf-idf of the clusters, where each word counts for its cluster;
    - ``"vectors"``: the mean vector of the words;
    - ``"centroids"``: the mean of the centroids of their clusters.

    Word vectors are centred, because all share a common direction. A word without a vector counts only as a word;
    a word that is not in the training texts is ignored.

    Attributes:
      n_terms: size of the tf-idf vocabulary, the most frequent words; the other parts use all words with a vector.
      stop_words: language whose stop words are left out, "english" or "none".
      n_word_clusters: number of word clusters (default: a tenth of the words, from 2 to 300).
      parts: parts of a vector.
      word_vectors: text file of word vectors, in word2vec or GloVe format (default: learn them from the texts).
      skip_gram: settings for learning word vectors.
      seed: random seed for learning the vectors and the clusters.
    """

    n_terms: int = 2000
    stop_words: str = "english"
    n_word_clusters: int | None = None
    parts: tuple[str, ...] = ("words", "clusters", "vectors")
    word_vectors: str | None = None
    skip_gram: SkipGram = SkipGram()  # noqa: RUF009 - frozen
    seed: int = 0

    def __post_init__(self):
        seed_of(self.seed)
        self._tfidf()  # checks its own settings
        if self.n_word_clusters is not None and self.n_word_clusters < 2:
            raise InputError(f"n_word_clusters must be at least 2, but is {self.n_word_clusters}")
        unknown = [part for part in self.parts if part not in get_args(Part)]
        if unknown or not self.parts or len(set(self.parts)) < len(self.parts):
            raise InputError(f"parts must be a selection of {', '.join(get_args(Part))}, but is {self.parts}")

    def learn(self, texts: Sequence[str]) -> Mapping[str, np.ndarray]:
        tfidf, known = self._tfidf().learn(texts), self._word_vectors(texts)
        vectors = known.vectors - known.vectors.mean(axis=0, keepdims=True)
        n_clusters = self.n_word_clusters or min(max(len(vectors) // 10, 2), 300)
        if len(vectors) < n_clusters:
            raise InputError(
                f"can't make {n_clusters} clusters from {len(vectors)} words: the {len(texts):,} texts hold no "
                "more words with a vector, other than stop words"
            )
        found = cluster.k_means(jax.random.key(self.seed), vectors, n_clusters, spherical=True)
        clusters = np.asarray(found.labels, np.int32)
        learned = {
            **tfidf,
            "words": np.array(known.words),
            "vectors": vectors,
            "clusters": clusters,
            "centroids": _means(vectors, clusters, n_clusters),
        }
        held = np.asarray((_in_clusters(self._counts(learned, texts), learned) > 0).sum(axis=0)).ravel()
        return {**learned, "cluster_idf": np.log((1 + len(texts)) / (1 + held)) + 1}

    def vectors(self, learned, texts, say=silent) -> Any:
        from scipy import sparse
        from sklearn.preprocessing import normalize

        counts = self._counts(learned, texts)
        in_clusters = _in_clusters(counts, learned)
        make = {
            "words": lambda: self._tfidf().vectors(learned, texts),
            "clusters": lambda: normalize(in_clusters @ sparse.diags(learned["cluster_idf"])),
            "vectors": lambda: sparse.csr_matrix(normalize(counts @ learned["vectors"])),
            "centroids": lambda: sparse.csr_matrix(normalize(in_clusters @ learned["centroids"])),
        }
        return sparse.hstack([make[part]() for part in self.parts], format="csr", dtype=np.float32)

    def _tfidf(self) -> TfIdf:
        return TfIdf(n_terms=self.n_terms, stop_words=self.stop_words)

    def _word_vectors(self, texts: Sequence[str]) -> WordVectors:
        """Vectors of the words that are not stop words."""
        everything, meaning = (_counter(stop_words).build_analyzer() for stop_words in ("none", self.stop_words))
        wanted = {word for text in texts for word in meaning(text)}
        if self.word_vectors is not None:
            return read_word_vectors(Path(self.word_vectors), wanted)
        # Train on stop words too (most are skipped), because they also are contexts of words.
        words, vectors = self.skip_gram.train([everything(text) for text in texts], seed=self.seed)
        rows = [row for row, word in enumerate(words) if word in wanted]
        if not rows:
            raise InputError(f"all words with a vector in the {len(texts):,} texts are stop words")
        return WordVectors([words[row] for row in rows], vectors[rows])

    def _counts(self, learned: Mapping[str, np.ndarray], texts: Sequence[str]) -> Any:
        """Counts of the words with a vector in each text, sparse ``[n, v]``."""
        vocabulary = {str(word): i for i, word in enumerate(learned["words"])}
        return _counter("none", vocabulary=vocabulary).transform(texts)


def _counter(stop_words: str, **settings: Any) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    language = None if stop_words == "none" else stop_words
    return CountVectorizer(stop_words=language, **TERMS, **settings)


def _membership(clusters: np.ndarray, n_clusters: int) -> Any:
    from scipy import sparse

    places = (np.arange(len(clusters)), clusters)
    return sparse.csr_matrix((np.ones(len(clusters), np.float32), places), shape=(len(clusters), n_clusters))


def _in_clusters(counts: Any, learned: Mapping[str, np.ndarray]) -> Any:
    """Counts of the words of each cluster in each text, sparse ``[n, c]``."""
    return counts @ _membership(learned["clusters"], len(learned["centroids"]))


def _means(vectors: np.ndarray, clusters: np.ndarray, n_clusters: int) -> np.ndarray:
    """The mean vector of each cluster, unnormalised: k-means has seen only directions."""
    members = _membership(clusters, n_clusters)
    sizes = np.bincount(clusters, minlength=n_clusters)
    return (members.T @ vectors / np.maximum(sizes, 1)[:, None]).astype(np.float32)

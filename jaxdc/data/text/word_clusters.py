"""Short texts, expanded by the clusters of their words.

Shen et al., 2018 (arXiv 1812.01885): two short texts on one thing often share no word, but their words have
vectors, and words of like meaning are in one cluster of vectors; so each word brings its cluster along.

Differs from the paper in: the clusters are those of k-means, not of agglomerative clustering; a text is the sum
over its words and goes to any classifier or clusterer, where the paper gives the words in their order to a
convolutional or recurrent network; the words themselves (tf-idf) stay beside the expansion; what a word brings is
by default its vector and the identity of its cluster, where the paper has the centroid (``parts`` has it too).
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
from jaxdc.data.text.tfidf import TfIdf
from jaxdc.data.text.vectorizer import Vectorizer, silent
from jaxdc.data.text.word_vectors import WordVectors, read_word_vectors
from jaxdc.errors import InputError

Part = Choice["words", "clusters", "vectors", "centroids"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordClusters(Vectorizer):
    """tf-idf of words, and beside it what their vectors and the clusters of these say.

    Each part of a text's vector has unit length, or is zero where the text holds no word of it:

    - ``"words"``: tf-idf of the words, as ``TfIdf`` makes it;
    - ``"clusters"``: tf-idf of the clusters, each word counting for the cluster that it is in;
    - ``"vectors"``: the mean vector of the words;
    - ``"centroids"``: the mean of the centroids of their clusters.

    Word vectors are taken about their mean, for all have a direction in common. A word without a vector counts
    as a word alone; a word that the texts of the training do not hold counts for nothing.

    Attributes:
      n_terms: most frequent words that tf-idf counts; the other parts take all words with a vector.
      stop_words: a language whose common words are left out, "english" or "none".
      n_word_clusters: clusters of words; by default a tenth of the words, from 2 to 300.
      parts: what a vector is made of.
      word_vectors: a text file of them, as word2vec and GloVe write it; by default they are learnt from the texts.
      skip_gram: how they are learnt.
      seed: of the learning of the vectors and of the clusters.
    """

    n_terms: int = 2000
    stop_words: str = "english"
    n_word_clusters: int | None = None
    parts: tuple[str, ...] = ("words", "clusters", "vectors")
    word_vectors: str | None = None
    skip_gram: SkipGram = SkipGram()  # noqa: RUF009 - frozen
    seed: int = 0

    def __post_init__(self):
        self._tfidf()  # has its own sentences
        if self.n_word_clusters is not None and self.n_word_clusters < 2:
            raise InputError(f"n_word_clusters must be at least 2, but is {self.n_word_clusters}")
        unknown = [part for part in self.parts if part not in get_args(Part)]
        if unknown or not self.parts or len(set(self.parts)) < len(self.parts):
            raise InputError(f"parts must be some of {', '.join(get_args(Part))}, but are {self.parts}")

    def learn(self, texts: Sequence[str]) -> Mapping[str, np.ndarray]:
        tfidf, known = self._tfidf().learn(texts), self._word_vectors(texts)
        vectors = known.vectors - known.vectors.mean(axis=0, keepdims=True)
        n_clusters = self.n_word_clusters or min(max(len(vectors) // 10, 2), 300)
        if len(vectors) < n_clusters:
            raise InputError(
                f"{n_clusters} clusters can't be made of {len(vectors)} words: the {len(texts):,} texts hold no "
                "more that have a vector and are no stop words"
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
        """Those of the words that are no stop words."""
        everything, meaning = (_counter(stop_words).build_analyzer() for stop_words in ("none", self.stop_words))
        wanted = {word for text in texts for word in meaning(text)}
        if self.word_vectors is not None:
            return read_word_vectors(Path(self.word_vectors), wanted)
        # Stop words take part in the learning, which skips most of them: they too are what words stand beside.
        words, vectors = self.skip_gram.train([everything(text) for text in texts], seed=self.seed)
        rows = [row for row, word in enumerate(words) if word in wanted]
        if not rows:
            raise InputError(f"all words of the {len(texts):,} texts that have a vector are stop words")
        return WordVectors([words[row] for row in rows], vectors[rows])

    def _counts(self, learned: Mapping[str, np.ndarray], texts: Sequence[str]) -> Any:
        """How often each text holds each word that has a vector, sparse ``[n, v]``."""
        vocabulary = {str(word): i for i, word in enumerate(learned["words"])}
        return _counter("none", vocabulary=vocabulary).transform(texts)


def _counter(stop_words: str, **settings: Any) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(stop_words=None if stop_words == "none" else stop_words, **settings)


def _membership(clusters: np.ndarray, n_clusters: int) -> Any:
    from scipy import sparse

    places = (np.arange(len(clusters)), clusters)
    return sparse.csr_matrix((np.ones(len(clusters), np.float32), places), shape=(len(clusters), n_clusters))


def _in_clusters(counts: Any, learned: Mapping[str, np.ndarray]) -> Any:
    """How many words of each text are in each cluster, sparse ``[n, c]``."""
    return counts @ _membership(learned["clusters"], len(learned["centroids"]))


def _means(vectors: np.ndarray, clusters: np.ndarray, n_clusters: int) -> np.ndarray:
    """The mean vector of each cluster, at full length: k-means has seen directions alone."""
    members = _membership(clusters, n_clusters)
    sizes = np.bincount(clusters, minlength=n_clusters)
    return (members.T @ vectors / np.maximum(sizes, 1)[:, None]).astype(np.float32)

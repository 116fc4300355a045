"""Documents as a source of vectors."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxdc.data.sparse import SparseSource
from jaxdc.data.text.documents import Documents
from jaxdc.data.text.vectorizer import Fitted, Vectorizer
from jaxdc.errors import InputError

FEWEST = 10  # documents that terms can be told to be rare in
MOST_SINGLE = 0.9  # share of terms that one document alone has


class TextSource(SparseSource):
    """Documents as vectors.

    Args:
      documents: the texts.
      vectorizer: vectoriser for the texts; a fitted one treats them as in its training.
      resident_bytes: vectors larger than this stay sparse, if they are, and are sent to the device in batches.
      say: receives messages for the user.

    Attributes:
      texts: the documents.
      fitted: the fitted vectoriser.
      vectorize_seconds: seconds that vectorising took.

    Raises:
      InputError: all documents are the same, or the vectoriser can't be fitted.
    """

    def __init__(
        self,
        documents: Documents,
        vectorizer: Vectorizer | Fitted,
        *,
        resident_bytes: int = 2**31,
        say: Callable[[str], None] = lambda text: None,
    ):
        began = time.perf_counter()
        self.texts: Sequence[str] = documents.texts
        fits = isinstance(vectorizer, Vectorizer)
        if isinstance(vectorizer, Vectorizer):
            _check_different(self.texts, documents.name)
            vectorizer = vectorizer.fit(self.texts)
        self.fitted = vectorizer
        vectors = vectorizer.transform(self.texts, say)
        super().__init__(
            vectors,
            documents.labels,
            sample_names=documents.sample_names,
            name=documents.name,
            protocol=documents.protocol,
            dtype=np.int32 if vectors.dtype == np.int32 else np.float32,
            resident_bytes=resident_bytes,
        )
        self.understood = documents.understood
        self.vectorize_seconds = time.perf_counter() - began
        if fits and (share := _share_of_single_terms(vectors)) > MOST_SINGLE:
            say(
                f"{100 * share:.0f} % of the terms occur in one document alone, so documents have little in "
                "common: try --vectors word-clusters, or embedding"
            )
        n = self.n_zeros()
        if n:
            say(f"{n:,} of the {self.n_samples:,} documents contain no known term, so they can't be told apart")

    def fingerprint(self):
        # From the texts, because vectors may differ by rounding between machines, yet the run is the same.
        return fingerprint_of(self.texts)


def fingerprint_of(texts: Sequence[str]) -> str:
    """A short text that changes with any of the texts."""
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{len(texts)} documents {digest[:16]}"


def _share_of_single_terms(vectors: Any) -> float:
    """The share of the terms that one document alone has, of sparse vectors of enough documents to tell."""
    if not hasattr(vectors, "tocsc") or vectors.shape[0] < FEWEST:
        return 0.0
    return float(np.mean(np.diff(vectors.tocsc().indptr) == 1))


def _check_different(texts: Sequence[str], name: str) -> None:
    if len(texts) > 1 and all(text == texts[0] for text in texts):
        raise InputError(f"all {len(texts):,} documents of {name} are the same text: there is nothing to cluster")

"""Documents as a source of vectors."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from jaxdc.data.sparse import SparseSource
from jaxdc.data.text.documents import Documents
from jaxdc.data.text.vectorizer import Fitted, Vectorizer
from jaxdc.errors import InputError


class TextSource(SparseSource):
    """Documents, of which a method sees the vectors.

    Args:
      documents: the texts.
      vectorizer: what makes vectors of them; one that is fitted treats them like those of its training.
      resident_bytes: vectors larger than this stay sparse, if they are, and go to the device in batches.
      say: told what a person should know.

    Attributes:
      texts: the documents.
      fitted: what made the vectors.
      vectorize_seconds: how long that took.

    Raises:
      InputError: all documents are the same, or the vectorizer has nothing to go by.
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
        self.vectorize_seconds = time.perf_counter() - began
        n = self.n_zeros()
        if n:
            say(f"{n:,} of the {self.n_samples:,} documents hold no known term, so nothing tells them apart")

    def fingerprint(self):
        # The texts', for vectors may differ in rounding from machine to machine, and the run be the same.
        return fingerprint_of(self.texts)


def fingerprint_of(texts: Sequence[str]) -> str:
    """A short text that changes when one of these does."""
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{len(texts)} documents {digest[:16]}"


def _check_different(texts: Sequence[str], name: str) -> None:
    if len(texts) > 1 and all(text == texts[0] for text in texts):
        raise InputError(f"all {len(texts):,} documents of {name} are the same text: there is nothing to cluster")

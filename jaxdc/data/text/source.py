"""Documents as a source of vectors."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxdc.data.sources import Source, check_finite
from jaxdc.data.text.documents import Documents
from jaxdc.data.text.vectorizer import Fitted, Vectorizer
from jaxdc.errors import InputError


class TextSource(Source):
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
        self.name, self.protocol = documents.name, documents.protocol
        self.labels, self.sample_names = documents.labels, documents.sample_names
        if isinstance(vectorizer, Vectorizer):
            _check_different(self.texts, self.name)
            vectorizer = vectorizer.fit(self.texts)
        self.fitted = vectorizer
        self._x: Any = vectorizer.transform(self.texts)
        self.vectorize_seconds = time.perf_counter() - began
        self.shape, self.n_samples = self._x.shape[1:], self._x.shape[0]
        self.dtype = np.dtype(np.float32)
        if 4 * self.n_samples * int(np.prod(self.shape)) <= resident_bytes:
            self._x = self.array = _dense(self._x)
            check_finite(self.array, f"the vectors of {self.name}")
        self._tell_of_zeros(say)

    def read(self, rows):
        for part in rows:
            yield _dense(self._x[part]), part

    def fingerprint(self):
        # The texts', for vectors may differ in rounding from machine to machine, and the run be the same.
        return fingerprint_of(self.texts)

    def _tell_of_zeros(self, say: Callable[[str], None]) -> None:
        dense = isinstance(self._x, np.ndarray)
        held = self._x.reshape(self.n_samples, -1).any(axis=1) if dense else np.diff(self._x.indptr) > 0
        n = int(np.sum(~held))
        if n:
            say(f"{n:,} of the {self.n_samples:,} documents hold no known term, so nothing tells them apart")


def fingerprint_of(texts: Sequence[str]) -> str:
    """A short text that changes when one of these does."""
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{len(texts)} documents {digest[:16]}"


def _dense(x: Any) -> np.ndarray:
    return x if isinstance(x, np.ndarray) else x.toarray()


def _check_different(texts: Sequence[str], name: str) -> None:
    if len(texts) > 1 and all(text == texts[0] for text in texts):
        raise InputError(f"all {len(texts):,} documents of {name} are the same text: there is nothing to cluster")

"""The interface of text vectorisers, for term counts as well as learned embeddings."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxdc.float32 import in_float32


def silent(text: str) -> None:
    """Discards a message."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vectorizer(abc.ABC):
    """Turns texts into vectors.

    Its fields are the settings saved in ``config.json``. What it learns from the training texts, such as a
    vocabulary, is saved in an array file next to it, so that new texts are treated in the same way.
    """

    @in_float32
    def fit(self, texts: Sequence[str]) -> Fitted:
        """Fits the vectoriser to texts.

        Raises:
          InputError: nothing can be learned from these texts.
        """
        return Fitted(self, self.learn(texts))

    @abc.abstractmethod
    def learn(self, texts: Sequence[str]) -> Mapping[str, np.ndarray]:
        """What is learned from the training texts, as arrays; empty if nothing is."""

    @abc.abstractmethod
    def vectors(
        self, learned: Mapping[str, np.ndarray], texts: Sequence[str], say: Callable[[str], None] = silent
    ) -> Any:
        """Vectors ``[n, d]`` float32 of texts: an array, or a SciPy CSR matrix. Token ids are int32.

        Reports progress to ``say`` if this takes long.
        """


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A vectoriser with what it has learned."""

    vectorizer: Vectorizer
    learned: Mapping[str, np.ndarray]

    @in_float32
    def transform(self, texts: Sequence[str], say: Callable[[str], None] = silent) -> Any:
        """Vectors ``[n, d]`` float32 of texts: an array, or a SciPy CSR matrix. Token ids are int32."""
        return self.vectorizer.vectors(self.learned, texts, say)

"""What makes vectors of texts: one interface for counted words and for learned embeddings."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


def silent(text: str) -> None:
    """Says nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vectorizer(abc.ABC):
    """From texts to vectors.

    Its fields are the settings, which ``config.json`` keeps. What it learns from the texts of the training, such
    as a vocabulary, is kept in a file of arrays beside it, so that new texts are treated alike.
    """

    def fit(self, texts: Sequence[str]) -> Fitted:
        """Learns what it needs from texts.

        Raises:
          InputError: there is nothing to be learnt from these.
        """
        return Fitted(self, self.learn(texts))

    @abc.abstractmethod
    def learn(self, texts: Sequence[str]) -> Mapping[str, np.ndarray]:
        """What it needs of the texts of the training, as arrays; nothing, if it has learnt elsewhere."""

    @abc.abstractmethod
    def vectors(
        self, learned: Mapping[str, np.ndarray], texts: Sequence[str], say: Callable[[str], None] = silent
    ) -> Any:
        """Vectors ``[n, d]`` float32 of texts: an array, or a SciPy CSR matrix. Token ids are int32.

        ``say`` is told how far it has come, where that takes long.
        """


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A vectorizer and what it has learnt."""

    vectorizer: Vectorizer
    learned: Mapping[str, np.ndarray]

    def transform(self, texts: Sequence[str], say: Callable[[str], None] = silent) -> Any:
        """Vectors ``[n, d]`` float32 of texts: an array, or a SciPy CSR matrix. Token ids are int32."""
        return self.vectorizer.vectors(self.learned, texts, say)

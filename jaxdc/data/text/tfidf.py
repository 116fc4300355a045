"""tf-idf: term counts of a document, weighted by how rare each term is among the documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdc.data.text.terms import TERMS
from jaxdc.data.text.vectorizer import Vectorizer, silent
from jaxdc.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfIdf(Vectorizer):
    """tf-idf of the most frequent terms, with unit-norm rows, as in DEC (2,000 terms).

    Uses scikit-learn's ``TfidfVectorizer`` on the terms of ``terms_of``. A document without any of the terms is
    the zero vector.

    Attributes:
      n_terms: size of the vocabulary, the most frequent words; all, if there are fewer.
      stop_words: language whose stop words are left out, "english" or "none".
    """

    n_terms: int = 2000
    stop_words: str = "english"

    def __post_init__(self):
        if self.n_terms < 2:
            raise InputError(f"n_terms must be at least 2, but is {self.n_terms}")
        if self.stop_words not in ("english", "none"):
            raise InputError(f"stop_words must be english or none, not {self.stop_words!r}")

    def learn(self, texts: Sequence[str]) -> Mapping[str, np.ndarray]:
        made = self._sklearn()
        try:
            made.fit(texts)
        except ValueError as error:  # empty vocabulary: scikit-learn's message refers to its own parameters
            raise InputError(
                f"the {len(texts):,} documents contain no term of two letters or more, other than stop words"
            ) from error
        return {"terms": made.get_feature_names_out().astype(str), "idf": made.idf_.astype(np.float64)}

    def vectors(self, learned, texts, say=silent) -> Any:
        made = self._sklearn(vocabulary={str(term): i for i, term in enumerate(learned["terms"])})
        made.idf_ = learned["idf"]
        return made.transform(texts).astype(np.float32)

    def _sklearn(self, **settings: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        stop_words = None if self.stop_words == "none" else self.stop_words
        return TfidfVectorizer(max_features=self.n_terms, stop_words=stop_words, **TERMS, **settings)

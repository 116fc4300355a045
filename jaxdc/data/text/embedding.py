"""Sentence embeddings and token ids from a language model on disk."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc.data.text.padding import padded
from jaxdc.data.text.vectorizer import Vectorizer, silent
from jaxdc.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class _OfModel(Vectorizer):
    model: str

    def __post_init__(self):
        if Path(self.model).is_dir():
            # An absolute path, because the run folder may be read from another directory.
            object.__setattr__(self, "model", str(Path(self.model).absolute()))

    def learn(self, texts: Sequence[str]) -> Mapping[str, np.ndarray]:
        del texts
        return {"weights": np.array(_checksum(Path(self.model)))}

    def _check_weights(self, learned) -> None:
        if str(learned["weights"]) != _checksum(Path(self.model)):
            raise InputError(f"the model in {self.model} differs from the one that this run was trained on")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embedding(_OfModel):
    """Sentence embeddings from a sentence-transformers model.

    A directory with a BERT runs in JAX, on all devices. Other architectures, and models given by name, run in the
    sentence-transformers package, if it is installed.

    Attributes:
      model: directory, or a model name known to sentence-transformers.
    """

    def vectors(self, learned, texts, say=silent) -> np.ndarray:
        self._check_weights(learned)
        from jaxdc.nn.sentence_model import UnknownModel, open_sentence_model

        why = f"there is no model directory {self.model}"
        if Path(self.model).is_dir():
            try:
                model = open_sentence_model(self.model)
            except UnknownModel as error:
                why = str(error)
            else:
                from jaxdc.data.text.encoder import encoder_of

                return encoder_of(model)(texts, say)
        return _by_sentence_transformers(self.model, texts, why)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokens(_OfModel):
    """Token ids for a sentence-transformers model, for methods that train the model itself.

    Attributes:
      model: directory of a BERT.
      max_tokens: length of the token sequences; longer texts are truncated, shorter ones padded with zeros.
    """

    max_tokens: int = 32

    def __post_init__(self):
        super().__post_init__()
        if self.max_tokens < 3:
            raise InputError(
                f"max_tokens must be at least 3 (including [CLS] and [SEP]), but is {self.max_tokens}"
            )

    def vectors(self, learned, texts, say=silent) -> np.ndarray:
        del say
        self._check_weights(learned)
        from jaxdc.nn.sentence_model import open_sentence_model

        model = open_sentence_model(self.model)
        if self.max_tokens > model.max_tokens:
            raise InputError(f"max_tokens is {self.max_tokens}, but {self.model} takes at most {model.max_tokens}")
        return padded(model.tokens(texts, self.max_tokens), self.max_tokens)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FunctionEmbedding(Vectorizer):
    """Embeddings from a function of your own.

    Attributes:
      function: name of the function, which takes a list of texts and returns an array ``[n, d]``. It is
        informative
        only: to load a run again, pass the function: ``jaxdc.load(folder, embed=function)``.
      call: the function itself, which is not saved.
    """

    function: str
    call: Callable[[list[str]], Any] | None = dataclasses.field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, function: Callable[[list[str]], Any]) -> FunctionEmbedding:
        """Wraps a callable."""
        place, name = getattr(function, "__module__", None), getattr(function, "__qualname__", repr(function))
        return cls(function=f"{place}:{name}" if place else name, call=function)

    def learn(self, texts):
        del texts
        return {}

    def vectors(self, learned, texts, say=silent) -> np.ndarray:
        del learned, say
        if self.call is None:
            raise InputError(
                f"this run embeds texts with the function {self.function!r}: "
                "pass it in Python with jaxdc.load(folder, embed=...)"
            )
        return checked(self.call(list(texts)), len(texts), self.function)


def checked(vectors: Any, n: int, name: str) -> np.ndarray:
    """Converts the vectors to float32.

    Raises:
      InputError: they are not a matrix with one row per text.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) != n or vectors.dtype.kind not in "iuf":
        raise InputError(
            f"{name} returned {vectors.dtype} values of shape {vectors.shape} for {n} texts, but must return "
            f"numbers [{n}, d]"
        )
    return vectors.astype(np.float32)


def _by_sentence_transformers(model: str, texts: Sequence[str], why: str) -> np.ndarray:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError(
            f"{why}; other models need sentence-transformers, which is not installed: "
            "pip install sentence-transformers"
        ) from error
    try:
        made = SentenceTransformer(model)
    except (OSError, ValueError) as error:
        raise InputError(f"sentence-transformers can't open the model {model!r}: {error}") from error
    return checked(made.encode(list(texts)), len(texts), model)


def _checksum(model: Path) -> str:
    """Checksum of the weights; empty for a model without such a file, which its package looks after."""
    path = model / "model.safetensors"
    if not path.exists():
        return ""
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(2**22):
            checksum = zlib.crc32(part, checksum)
    return f"{checksum:08x}"

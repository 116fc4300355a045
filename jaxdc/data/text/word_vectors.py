"""Pre-trained word vectors from text files of word2vec, fastText and GloVe."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxdc.errors import InputError
from jaxdc.reading import read_lines


class WordVectors(NamedTuple):
    """Words and their vectors.

    Attributes:
      words: unique words ``[v]``.
      vectors: float32 ``[v, d]``.
    """

    words: list[str]
    vectors: np.ndarray


def read_word_vectors(path: Path, wanted: Collection[str]) -> WordVectors:
    """Reads the vectors of some words: one word per line with its numbers, separated by spaces, in UTF-8.

    A first line with the numbers of words and dimensions is optional, and the file may be compressed (``.gz``).
    Lines are read one by one, so that only the wanted words take memory. A word that is there only with capital
    letters is used for the wanted one; of two lines for one word, the first counts.

    Args:
      path: path of the file.
      wanted: words in lower case.

    Raises:
      InputError: there is no file, a line is not a word followed by as many finite numbers as in the others (the
        message names it), or no wanted word is found.
    """
    wanted, exact, other = frozenset(wanted), {}, {}
    for number, word, values in _lines(path):
        found = exact if word in wanted else other
        word = word if word in wanted else word.lower()
        if word not in wanted or word in found:
            continue
        try:
            vector = np.array(values, np.float32)
        except ValueError:
            vector = np.array([np.nan], np.float32)
        if not np.isfinite(vector).all():
            raise InputError(f"{path} has invalid numbers in line {number}, after {word!r}: they must be finite")
        found[word] = vector
    found = {**other, **exact}
    if not found:
        raise InputError(
            f"none of the {len(wanted):,} words of the texts has a vector in {path}: is it for another language?"
        )
    words = sorted(found)
    return WordVectors(words, np.stack([found[word] for word in words]))


def _lines(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Number, word and remaining fields of each line."""
    n_dimensions = None
    for number, line in enumerate(read_lines(path), 1):
        values = _decoded(line, path, number).strip(" \t\r\n").split(" ")
        if number == 1 and len(values) == 2 and all(value.isdecimal() and len(value) < 19 for value in values):
            n_dimensions = int(values[1])
            continue
        if values == [""]:
            continue
        if n_dimensions is None:
            n_dimensions = len(values) - 1
        # Some words in GloVe's largest file contain spaces, so a line may have more fields, but not fewer.
        if n_dimensions < 1 or len(values) <= n_dimensions:
            needed = "a word and its numbers" if n_dimensions < 1 else f"a word and {n_dimensions} numbers"
            raise InputError(f"{path} has {' '.join(values)[:40]!r} in line {number}, but must have {needed}")
        if len(values) > n_dimensions + 1 and _is_number(values[1]):
            raise InputError(
                f"{path} has {len(values) - 1} numbers in line {number}, but must have {n_dimensions}"
            )
        yield number, " ".join(values[:-n_dimensions]), values[-n_dimensions:]


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 in line {number}; word vectors in a binary format must be saved as text first"
        ) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

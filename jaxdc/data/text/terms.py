"""The terms of a text: its words, and in scripts that put no spaces between words, neighbouring characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

WORD = re.compile(r"\b\w\w+\b")  # as scikit-learn has it
# Chinese and Japanese, where most words have one or two characters.
KANA = "\u3005\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
IDEOGRAPHS = KANA + "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
# Thai, Lao, Burmese and Khmer, where a syllable has two to four.
SYLLABLES = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u1000-\u1049\u1050-\u109d\u1780-\u17d3"
RUNS = re.compile(f"([{IDEOGRAPHS}]+)|([{SYLLABLES}]+)")


def terms_of(text: str) -> list[str]:
    """The terms of a text, in the order of their kinds.

    Words of two letters or more; of Chinese and Japanese each character and each pair of neighbours; of Thai, Lao,
    Burmese and Khmer two to four neighbours. Without that, a whole sentence would be one word.
    """
    if RUNS.search(text) is None:
        return WORD.findall(text)
    found = WORD.findall(RUNS.sub(" ", text))
    for ideographs, syllables in RUNS.findall(text):
        found += _neighbors(ideographs, 1, 2) if ideographs else _neighbors(syllables, 2, 4)
    return found


# Arguments of scikit-learn's vectorizers.
TERMS: Any = {"tokenizer": terms_of, "token_pattern": None}


def _neighbors(run: str, least: int, most: int) -> Iterator[str]:
    if len(run) < least:
        yield run
    for n in range(least, most + 1):
        for i in range(len(run) - n + 1):
            yield run[i : i + n]

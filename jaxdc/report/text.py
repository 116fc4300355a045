"""Texts and numbers, formatted for a page."""

from __future__ import annotations

import re

# Bytes of file names that are no UTF-8, and control characters: a page can't hold them.
UNSHOWN = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def shown(text: object) -> str:
    """A text without characters that HTML can't hold."""
    return UNSHOWN.sub("\ufffd", str(text))


def cut(text: str, n: int) -> str:
    """The beginning of a text on one line, cut between two words if possible."""
    words = " ".join(text.split())
    if len(words) <= n:
        return words
    head = words[:n]
    return f"{head.rsplit(' ', 1)[0] if ' ' in head[n // 2 :] else head} …"


def number(value: float) -> str:
    """Four significant digits; whole numbers stay whole."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"

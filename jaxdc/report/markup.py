"""Pieces of HTML. Every text of a person's goes through ``escaped`` or ``json_script``."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Bytes of file names that are no UTF-8, and control characters: a page can't hold them.
UNSHOWN = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def shown(text: object) -> str:
    """A text without what no page can hold."""
    return UNSHOWN.sub("\ufffd", str(text))


def escaped(text: object) -> str:
    """A text as HTML or an attribute takes it."""
    return html.escape(shown(text))


def name(text: object) -> str:
    """A name that somebody gave: its own direction of writing does not spread."""
    return f"<bdi>{escaped(text)}</bdi>"


def cut(text: str, n: int) -> str:
    """The beginning of a text, in one line, cut between two words if it can be."""
    words = " ".join(text.split())
    if len(words) <= n:
        return words
    head = words[:n]
    return f"{head.rsplit(' ', 1)[0] if ' ' in head[n // 2 :] else head} …"


def json_script(identifier: str, content: Any) -> str:
    """Data for the script of the page."""
    text = shown(json.dumps(content, ensure_ascii=False, separators=(",", ":"))).replace("<", "\\u003c")
    return f'<script type="application/json" id="{identifier}">{text}</script>'


def section(identifier: str, title: str, *parts: str) -> str:
    """A section of the page."""
    return f'<section id="{identifier}"><h2>{escaped(title)}</h2>{"".join(parts)}</section>'


def note(sentence: str) -> str:
    """A sentence on what is missing or sampled."""
    return f'<p class="note">{escaped(sentence)}</p>'


def scrolled(label: str, content: str) -> str:
    """What may be wider than a phone, or long: scrolled by itself, by keyboard too."""
    return f'<div class="scrolled" tabindex="0" role="region" aria-label="{escaped(label)}">{content}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """A table of cells that are HTML already; the first of a row is its head."""
    above = f"<caption>{escaped(caption)}</caption>" if caption else ""
    columns = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f"<table>{above}<thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table>"


def number(value: float) -> str:
    """To four significant digits, whole numbers whole."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"

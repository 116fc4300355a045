"""The order of an encoder's parts: what comes before its blocks, the blocks, and what follows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

STEM = frozenset(("first", "patches", "class_token", "registers", "positions", "before", "words", "segments"))


def stem_of(names: Collection[str]) -> frozenset[str]:
    """Which of an encoder's parts come before its blocks, by the names of all its parts."""
    # BERT normalises its embeddings; the norm of a vision transformer follows the blocks.
    return STEM | {"norm"} if "words" in names else STEM


def distances(encoder: Mapping[str, Any]) -> dict[tuple[Any, ...], int]:
    """How many blocks each part of an encoder is away from the last.

    Args:
      encoder: parameters of an encoder, nested by attribute; ``encoder["blocks"]`` has them by number.

    Returns:
      By name, or for a block by ("blocks", number): 0 for the last of L blocks and for what follows it, L - 1 for
      the first, L for what comes before it. Empty if there are no blocks.
    """
    numbers = list(encoder.get("blocks", ()))
    if not numbers:
        return {}
    n, stem = 1 + max(numbers), stem_of(list(encoder))
    ends = {(name,): n if name in stem else 0 for name in encoder if name != "blocks"}
    return ends | {("blocks", i): n - 1 - i for i in numbers}

"""How sentences about data list names and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def shortened(names: Sequence[str], most: int = 12) -> str:
    """The names, or the first of them and how many there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def counted(numbers: Mapping[str, int]) -> str:
    """How many there are of each kind, the most frequent first: ``9 .txt, 1 .heic``."""
    return ", ".join(f"{n:,} {kind}" for kind, n in sorted(numbers.items(), key=lambda one: (-one[1], one[0])))

"""Recordings as short clips, embedded in the page."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Protocol

MOST_BYTES = 8 * 2**20  # of all clips of a page, before base64
MOST_SECONDS, LEAST_SECONDS = 4.0, 0.5
RATES = (16_000, 8000)  # samples per second, of 16 bits each; the first at which all clips fit whole
BYTES_PER_SAMPLE = 2
HEADER = 64  # bytes of a file that are no samples, rounded up


class Sounds(Protocol):
    """Recordings by row, such as ``jaxdc.data.sound.Recordings``."""

    def clip(self, row: int, *, seconds: float, rate: int) -> bytes:
        """A wav file of at most this length, at this rate."""
        ...


def clips(sounds: Sounds, rows: Iterable[int]) -> dict[int, str]:
    """Clips as data URLs, by row, within the size limit of a page.

    Where there are many, clips are shorter, and where they would be shorter than half a second only the first
    have one. A recording that can't be read any more has none.
    """
    rows = list(dict.fromkeys(rows))
    rate, seconds = RATES[0], 0.0
    for rate in RATES:
        seconds = min(_seconds(len(rows), rate), MOST_SECONDS)
        if seconds == MOST_SECONDS:
            break
    seconds = max(seconds, LEAST_SECONDS)
    made: dict[int, str] = {}
    used = 0
    for row in rows:
        try:
            content = sounds.clip(row, seconds=seconds, rate=rate)
        except (OSError, ValueError):
            continue
        used += len(content)
        if used > MOST_BYTES:
            break
        made[row] = f"data:audio/wav;base64,{base64.b64encode(content).decode()}"
    return made


def _seconds(n: int, rate: int) -> float:
    """The clips, as long as the limit allows."""
    return max(MOST_BYTES / max(n, 1) - HEADER, 0) / (BYTES_PER_SAMPLE * rate)

"""Progress of long work: a bar on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 10.0  # between two lines


class Progress:
    """Reports the progress of work with a steady pace.

    Args:
      what: name of the work, such as "embedding".
      total: total units of work.
      say: receives the progress; if it is the ``print`` of a rich console on a terminal, a bar is drawn there.
      unit: unit of the work, such as "images", whose pace is reported too.
    """

    def __init__(self, what: str, total: int, say: Callable[[str], None], *, unit: str | None = None):
        self._unit = unit
        self._what, self._total, self._done, self._say = what, max(total, 1), 0, say
        self._began = self._said = time.monotonic()
        self._bar = None
        console = getattr(say, "__self__", None)
        if getattr(console, "is_terminal", False):
            from rich.progress import Progress as Bar

            self._bar = Bar(console=console, transient=True)
            self._task = self._bar.add_task(what, total=self._total)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, n: int) -> None:
        """Records ``n`` more units as done."""
        self._done += n
        now = time.monotonic()
        pace = "" if self._unit is None else f", {self._done / max(now - self._began, 1e-9):,.1f} {self._unit}/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=f"{self._what}{pace}")
            return
        if now - self._said > SECONDS and self._done < self._total:
            self._said = now
            left = (now - self._began) * (self._total - self._done) / self._done
            minutes, seconds = divmod(round(left), 60)
            self._say(f"{self._what}: {self._done / self._total:.0%}, {minutes}:{seconds:02d} left{pace}")

"""The interface through which the loop reports events."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxdc.methods.base import Ending
from jaxdc.train.memory import Estimate


class Observer:
    """Receives the events of training and ignores them; ``jaxdc.runs.progress.Reporter`` shows and stores them.

    Stages are counted from 0, and ``step`` is the number of gradient steps of the stage so far.
    """

    def starts_anew(self) -> None:
        """There was no checkpoint to resume from."""

    def set_aside(self, place: Path) -> None:
        """A damaged checkpoint was moved to ``place``."""

    def resumed(self, i: int, step: int) -> None:
        """Stage ``i`` resumes from its checkpoint at ``step``."""

    def stage_begins(self, i: int, step: int) -> None:
        """Stage ``i`` starts, or resumes, at ``step``."""

    def memory_planned(self, i: int, step: int, estimate: Estimate | None) -> None:
        """The step of stage ``i`` has been compiled, with this memory estimate."""

    def steps_done(self, i: int, step: int, n: int, values: dict[str, float], seconds: float | None) -> None:
        """``n`` more steps were taken, up to ``step``, in ``seconds`` if known.

        The values are means over these steps.
        """

    def refreshed(self, i: int, step: int, labels: np.ndarray, figures: dict[str, float], n_clusters: int) -> None:
        """The whole data set was reassigned."""

    def refresh_took(self, i: int, seconds: float) -> None:
        """Duration of a refresh."""

    def probed(self, i: int, step: int, features: np.ndarray) -> None:
        """Features ``[n, d]`` of all reported samples, at a measurement that was due."""

    def warned(self, i: int, step: int, text: str) -> None:
        """The method has a warning for the user."""

    def ends_early(self, i: int, step: int, ending: Ending) -> None:
        """The method ended stage ``i`` early."""

    def stage_ends(self, i: int, step: int) -> None:
        """Stage ``i`` is over; it may have ended early."""

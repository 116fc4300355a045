"""What the loop tells while it trains."""

from __future__ import annotations

import numpy as np

from jaxdc.methods.base import Ending
from jaxdc.train.memory import Estimate


class Observer:
    """Is told of what happens, and does nothing by itself; ``jaxdc.runs.progress.Reporter`` shows and keeps it.

    Stages are counted from 0, and ``step`` is the number of gradient steps of the stage so far.
    """

    def starts_anew(self) -> None:
        """There was no checkpoint to go on from."""

    def resumed(self, i: int, step: int) -> None:
        """Stage ``i`` goes on from its checkpoint of ``step``."""

    def stage_begins(self, i: int, step: int) -> None:
        """Stage ``i`` starts, or goes on, at ``step``."""

    def memory_planned(self, i: int, step: int, estimate: Estimate | None) -> None:
        """The step of stage ``i`` is compiled, and takes so much of each device."""

    def steps_done(self, i: int, step: int, n: int, values: dict[str, float], seconds: float | None) -> None:
        """``n`` steps were taken and ``step`` was reached, in ``seconds`` if that is known.

        The values are means over these steps.
        """

    def refreshed(self, i: int, step: int, labels: np.ndarray, figures: dict[str, float], n_clusters: int) -> None:
        """The whole data set was assigned anew."""

    def refresh_took(self, i: int, seconds: float) -> None:
        """How long the slow clock's work lasted."""

    def probed(self, i: int, step: int, features: np.ndarray) -> None:
        """Features ``[n, d]`` of all samples that are reported, when it was time to look at them."""

    def ends_early(self, i: int, step: int, ending: Ending) -> None:
        """A method has said that stage ``i`` should end."""

    def stage_ends(self, i: int, step: int) -> None:
        """Stage ``i`` is over; it may have ended early."""

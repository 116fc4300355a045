"""Signs, without any label, that a clustering is alive, and that its network learns."""

from __future__ import annotations

import numpy as np

from jaxdc import metrics
from jaxdc.methods.base import DataSpec, Stage

LEAST_STEPS = 200  # a network that has had fewer may still be about to begin


def health(labels: np.ndarray, previous: np.ndarray | None, n_clusters: int) -> dict[str, float]:
    """Figures of one assignment.

    Args:
      labels: clusters ``[n]``.
      previous: those at the last refresh, or None.
      n_clusters: k.

    Returns:
      ``active_clusters``: how many have a sample; ``occupancy_entropy``: entropy of the cluster
      sizes over ln k, 1 when all are of one size and 0 when there is one; ``largest_cluster``: its
      share of the samples; ``churn``: share of the samples that changed cluster, and ``nmi_before``: NMI of the
      two assignments, which does not mind another numbering (both absent at first).
    """
    share = np.bincount(labels, minlength=n_clusters) / len(labels)
    used = share[share > 0]
    figures = {
        "active_clusters": len(used),
        "occupancy_entropy": float(-np.sum(used * np.log(used)) / np.log(n_clusters)) + 0.0,
        "largest_cluster": float(share.max()),
    }
    if previous is not None:
        figures["churn"] = float(np.mean(labels != previous))
        figures["nmi_before"] = float(metrics.normalized_mutual_info_score(previous, labels))
    return figures


def warning(figures: dict[str, float], n_clusters: int) -> str | None:
    """One sentence if something is wrong, else None."""
    active = int(figures["active_clusters"])
    if active == 1:
        return (
            "everything fell into one cluster: this run has collapsed; "
            "a lower learning rate or fewer clusters may help"
        )
    if active < n_clusters:
        return f"{n_clusters - active} of {n_clusters} clusters have no sample"
    return None


class ChanceWatch:
    """Notices a loss that stays at the value of constant outputs, such as ln k: the network is not learning.

    A metric stays there when no report of it is even a hundredth of that value lower (0.01, if the value is 0)
    over two epochs, a twentieth of the stage and ``LEAST_STEPS``.

    Args:
      stage: whose steps are reported.
      spec: of its data.
    """

    def __init__(self, stage: Stage, spec: DataSpec):
        n = spec.n_samples
        self._chance = stage.method.chance(stage.batch_for(n), spec)
        self._patience = max(2 * stage.steps_per_epoch(n), stage.n_steps(n) // 20, LEAST_STEPS)
        self._since: dict[str, int] = {}

    def warning(self, step: int, n_steps: int, values: dict[str, float]) -> str | None:
        """One sentence if a metric has stayed there, else None.

        Args:
          step: that was reached.
          n_steps: over which the values are means.
          values: of the metrics.
        """
        for name, chance in self._chance.items():
            if values[name] < chance - 0.01 * (abs(chance) or 1.0):
                self._since.pop(name, None)
            elif step - self._since.setdefault(name, step - n_steps) >= self._patience:
                what = "the loss" if name == "loss" else f"the part {name!r} of the loss"
                return (
                    f"{what} has stayed at {chance:.2f}, the value of constant outputs: the network is not "
                    "learning; another learning rate or weaker augmentation may help"
                )
        return None

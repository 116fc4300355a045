"""Label-free health checks of a clustering and of the training of its network."""

from __future__ import annotations

import numpy as np

from jaxdc import metrics
from jaxdc.methods.base import DataSpec, Stage
from jaxdc.train.labels import sizes_of

LEAST_STEPS = 200  # before that, a network may not have started to learn yet


def health(labels: np.ndarray, previous: np.ndarray | None, n_clusters: int) -> dict[str, float]:
    """Statistics of one assignment.

    Args:
      labels: clusters ``[n]``; -1 for a sample that belongs to none.
      previous: clusters at the previous refresh, or None.
      n_clusters: number of clusters, k.

    Returns:
      ``active_clusters``: number of non-empty clusters; ``occupancy_entropy``: entropy of the cluster sizes
      divided by ln k, 1 for equal sizes and 0 for a single cluster; ``largest_cluster``: share of samples in the
      largest cluster; ``churn``: share of samples that changed cluster, and ``nmi_before``: NMI with the previous
      assignment, which ignores renumbering (both absent at first).
    """
    share = sizes_of(labels, n_clusters) / len(labels)
    used = share[share > 0]
    figures = {
        "active_clusters": len(used),
        "occupancy_entropy": float(-np.sum(used * np.log(used)) / np.log(max(n_clusters, 2))) + 0.0,
        "largest_cluster": float(share.max()),
    }
    if previous is not None:
        figures["churn"] = float(np.mean(labels != previous))
        figures["nmi_before"] = float(metrics.normalized_mutual_info_score(previous, labels))
    return figures


def warning(figures: dict[str, float], n_clusters: int) -> str | None:
    """A one-sentence warning if something is wrong, else None."""
    active = int(figures["active_clusters"])
    if active == 1:
        return (
            "all samples fell into one cluster: this run has collapsed; "
            "try a lower learning rate or fewer clusters"
        )
    if active < n_clusters:
        return f"{n_clusters - active} of {n_clusters} clusters are empty"
    return None


def watches(stage: Stage, spec: DataSpec) -> tuple[ChanceWatch, LessonWatch]:
    """What looks at the metrics of a stage while it trains."""
    return ChanceWatch(stage, spec), LessonWatch(stage, spec)


class ChanceWatch:
    """Detects a loss that stays at its value for constant outputs, such as ln k: the network is not learning.

    A metric is stuck if no report of it falls below that value by a hundredth of it (or by 0.01, if the value is
    0) for two epochs, a twentieth of the stage and ``LEAST_STEPS``.

    Args:
      stage: stage whose steps are reported.
      spec: specification of its data.
    """

    def __init__(self, stage: Stage, spec: DataSpec):
        n = spec.n_samples
        self._chance = stage.method.chance(stage.batch_for(n), spec)
        self._patience = max(2 * stage.steps_per_epoch(n), stage.n_steps(n) // 20, LEAST_STEPS)
        self._since: dict[str, int] = {}

    def warning(self, step: int, n_steps: int, values: dict[str, float]) -> str | None:
        """A one-sentence warning if a metric is stuck, else None.

        Args:
          step: current step.
          n_steps: number of steps that the values are averaged over.
          values: values of the metrics.
        """
        for name, chance in self._chance.items():
            if values[name] < chance - 0.01 * (abs(chance) or 1.0):
                self._since.pop(name, None)
            elif step - self._since.setdefault(name, step - n_steps) >= self._patience:
                what = "the loss" if name == "loss" else f"the part {name!r} of the loss"
                return (
                    f"{what} has stayed at {chance:.2f}, the value of constant outputs: the network is not "
                    "learning; try another learning rate or weaker augmentation"
                )
        return None


class LessonWatch:
    """Detects a method that learns from no batch, such as for want of confident samples.

    It does if an epoch passes so, or a stage that is shorter.

    Args:
      stage: stage whose steps are reported.
      spec: specification of its data.
    """

    def __init__(self, stage: Stage, spec: DataSpec):
        self._method, n = stage.method, spec.n_samples
        self._patience = min(stage.steps_per_epoch(n), stage.n_steps(n))
        self._since: int | None = None

    def warning(self, step: int, n_steps: int, values: dict[str, float]) -> str | None:
        """A one-sentence warning if no batch taught anything for long, else None; arguments as above."""
        if values.get("learnt", 1.0) > 0:
            self._since = None
            return None
        if self._since is None:
            self._since = step - n_steps
        if step - self._since < self._patience:
            return None
        return (
            f"{type(self._method).__name__} has learnt nothing in {self._patience:,} steps, because no batch had "
            f"{self._method.lesson}"
        )

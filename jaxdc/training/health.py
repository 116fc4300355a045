"""Signs, without any label, that a clustering is alive."""

from __future__ import annotations

import numpy as np

from jaxdc import metrics


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

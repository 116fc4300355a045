"""What a person may look at next, once a run has ended: one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

SURE = 2.0  # times as probable as the next cluster; below that a sample might as well be there
MANY = 0.2  # share of the samples in doubt that is worth a word
MOST = 0.5  # share of the samples in one cluster that is worth a word


def next_step(
    figures: Mapping[str, Any],
    probabilities: np.ndarray,
    *,
    k_means: Mapping[str, float] | None = None,
    where: str = "the report",
) -> str:
    """The most pressing thing: a collapse, then empty clusters, then one that holds most, then doubt.

    Args:
      figures: of ``metrics.json``.
      probabilities: ``[n, k]``.
      k_means: ACC, NMI and ARI of k-means on the same samples, where there are labels to compare with.
      where: the place where clusters and their members are to be seen.
    """
    labels = probabilities.argmax(axis=1)
    sizes = np.bincount(labels, minlength=probabilities.shape[1])
    active, k = int((sizes > 0).sum()), len(sizes)
    if active == 1:
        return "everything is in one cluster: try a lower --learning-rate, or fewer clusters"
    if any("has stayed at" in text for text in figures.get("warnings", ())):
        return "the network has learnt little: try another --learning-rate, or more --epochs"
    if active < k:
        return f"{k - active} of {k} clusters are empty: jaxdc choose-k says what the data hold, or try fewer"
    if k_means is not None and all(figures[name] < k_means[name] for name in ("acc", "nmi")):
        longer = "--recipe paper, " if figures.get("recipe") == "fast" else ""
        return f"k-means alone does better here: try {longer}more --epochs or another method (jaxdc list)"
    largest = int(sizes.argmax())
    if k > 2 and sizes[largest] > MOST * len(labels):
        share = sizes[largest] / len(labels)
        return f"cluster {largest} holds {share:.0%} of the samples: see in {where} whether it is one thing"
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    doubtful = float(np.mean(first < SURE * second))
    if doubtful > MANY:
        return (
            f"{doubtful:.0%} of the samples are of no cluster for sure: the doubtful members in {where} show "
            "between which, and jaxdc choose-k compares other numbers of clusters"
        )
    if figures["acc"] is None:
        return (
            f"see in {where} whether each cluster is one thing; jaxdc choose-k compares other numbers of clusters"
        )
    return f"one seed is one draw: the same with --seed 1 tells how far to trust it; mistakes are in {where}"

"""One sentence of advice at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdc.methods.base import Method
from jaxdc.train.labels import labels_of, sizes_of

SURE = 2.0  # a sample is doubtful if its cluster is less than this many times as probable as the next one
MANY = 0.2  # share of doubtful samples above which to say so
MOST = 0.5  # share of the samples in one cluster above which to say so


def next_step(
    figures: Mapping[str, Any],
    probabilities: np.ndarray,
    *,
    k_means: Mapping[str, float] | None = None,
    where: str = "the report",
    longer: Sequence[str] = ("--recipe paper", "more --epochs"),
) -> str:
    """The most pressing issue: collapse, then empty clusters, then one dominant cluster, then doubtful samples.

    Args:
      figures: the content of ``metrics.json``.
      probabilities: ``[n, k]``.
      k_means: ACC, NMI and ARI of k-means on the same samples, if there are labels to compare with.
      where: where the user can see the clusters and their members.
      longer: what would train the method for longer, as ``ways_to_train_longer`` says.
    """
    labels = labels_of(probabilities)
    sizes = sizes_of(labels, probabilities.shape[1])
    active, k = int((sizes > 0).sum()), len(sizes)
    if active == 1:
        return "all samples are in one cluster: try a lower --learning-rate, or fewer clusters"
    warnings = figures.get("warnings", ())
    if any("has learnt nothing" in text for text in warnings):
        return "the network has learnt nothing in many steps: the warning says what its batches lacked"
    if any("has stayed at" in text for text in warnings):
        return "the network has hardly learned: try another --learning-rate, or more --epochs"
    if active < k:
        return f"{k - active} of {k} clusters are empty: run jaxdc choose-k, or use fewer clusters"
    if k_means is not None and all(figures[name] < k_means[name] for name in ("acc", "nmi")):
        return f"plain k-means does better here: try {', or '.join(_joined(longer))}"
    largest = int(sizes.argmax())
    if k > 2 and sizes[largest] > MOST * len(labels):
        share = sizes[largest] / len(labels)
        return f"cluster {largest} holds {share:.0%} of the samples: check in {where} whether they belong together"
    second, first = np.partition(probabilities[labels >= 0], -2, axis=1)[:, -2:].T
    doubtful = float(np.mean(first < SURE * second))
    if doubtful > MANY:
        return (
            f"{doubtful:.0%} of the samples lie between clusters: see the doubtful members in {where}, or compare "
            "other numbers of clusters with jaxdc choose-k"
        )
    if figures["acc"] is None:
        return f"check the clusters in {where}; to compare other numbers of clusters, run jaxdc choose-k"
    return f"results vary by seed: rerun with --seed 1; the misclustered samples are in {where}"


def ways_to_train_longer(method: Method, recipe: str) -> list[str]:
    """Options that train a method for longer: none of a method that takes no steps."""
    if not method.is_trained:
        return []
    return [*(["--recipe paper"] if recipe == "fast" and "paper" in method.recipe_names else []), "more --epochs"]


def _joined(longer: Sequence[str]) -> list[str]:
    return [*([", ".join(longer)] if longer else []), "another method (jaxdc list)"]

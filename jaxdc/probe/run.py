"""Probes the features of a run with a linear and a nearest-neighbour classifier."""

from __future__ import annotations

from typing import Any

from jaxdc.data import Source
from jaxdc.errors import InputError
from jaxdc.probe import knn_probe, linear_probe, stratified_half
from jaxdc.runs.result import Result


def probe_run(
    result: Result, train: Source, test: Source | None, *, k: int, temperature: float, seed: int, name: str
) -> dict[str, Any]:
    """The content of ``probe.json``: both accuracies, sizes and settings, and the protocol in words.

    Args:
      result: run whose features are probed.
      train: samples to train the classifiers on.
      test: samples to test them on; None holds out half of each class of ``train``.
      k: number of neighbours that vote.
      temperature: temperature of the votes.
      seed: random seed for held-out samples.
      name: name of the run, for the protocol.

    Raises:
      InputError: a source has no labels, both have the same samples, or no samples are left to test on.
    """
    for source in (train, test or train):
        if source.labels is None:
            raise InputError(f"{source.name} ({source.protocol}) has no labels, which a probe needs")
    if test is not None and train.fingerprint() == test.fingerprint():
        raise InputError(
            f"{test.name} has the same samples as {train.name}: test on samples that were not trained on"
        )
    learnt = result.predict_labelled(train)
    x, labels = learnt.embeddings, learnt.labels_true
    if test is not None:
        tested = result.predict_labelled(test)
        parts = (x, labels, tested.embeddings, tested.labels_true)
        used = f"trained on {train.name} ({train.protocol}), tested on {test.name} ({test.protocol}); seed {seed}"
    else:
        chosen = stratified_half(labels, seed=seed)
        if chosen.all():
            raise InputError(f"{train.name} has only one sample per class, so none is left to test on")
        parts = (x[chosen], labels[chosen], x[~chosen], labels[~chosen])
        used = (
            f"trained on {chosen.sum():,} samples of {train.name} ({train.protocol}), tested on the other "
            f"{(~chosen).sum():,}: half of each class, held out by seed {seed}"
        )
    linear = linear_probe(*parts, seed=seed)
    knn = knn_probe(*parts, k=k, temperature=temperature)
    data = result.config["run"]["data"]
    return {
        "linear_accuracy": linear.accuracy,
        "linear_top5": linear.top5,
        "linear_converged": linear.converged,
        "knn_accuracy": knn.accuracy,
        "n_train": len(parts[1]),
        "n_test": len(parts[3]),
        "n_features": x.shape[1],
        "l2": linear.l2,
        "k": knn.k,
        "temperature": temperature,
        "protocol": f"features of run {name} ({type(result.method).__name__} on {data['name']}, "
        f"{data['protocol']}, without labels); probes {used}",
    }

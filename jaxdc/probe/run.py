"""A run under the probe: what a linear and a nearest-neighbour classifier make of its features."""

from __future__ import annotations

from typing import Any

from jaxdc.data import Source
from jaxdc.errors import InputError
from jaxdc.probe import knn_probe, linear_probe, stratified_half
from jaxdc.runs.result import Result


def probe_run(
    result: Result, train: Source, test: Source | None, *, k: int, temperature: float, seed: int, name: str
) -> dict[str, Any]:
    """The figures of ``probe.json``: both accuracies, sizes and settings, the protocol in words.

    Args:
      result: the run whose features are probed.
      train: samples that the classifiers learn from.
      test: samples that they are tested on; None holds out half of each class of ``train``.
      k: neighbours that vote.
      temperature: of their votes.
      seed: of what is held out.
      name: of the run, in the protocol.

    Raises:
      InputError: a source has no labels, both hold the same samples, or nothing is left to test on.
    """
    for source in (train, test or train):
        if source.labels is None:
            raise InputError(f"{source.name} ({source.protocol}) has no labels, and a probe learns and tests them")
    if test is not None and train.fingerprint() == test.fingerprint():
        raise InputError(f"{test.name} holds the samples of {train.name}: a probe can't be tested on these")
    learnt = result.predict_labelled(train)
    x, labels = learnt.embeddings, learnt.labels_true
    if test is not None:
        tested = result.predict_labelled(test)
        parts = (x, labels, tested.embeddings, tested.labels_true)
        used = f"trained on {train.name} ({train.protocol}), tested on {test.name} ({test.protocol}); seed {seed}"
    else:
        chosen = stratified_half(labels, seed=seed)
        if chosen.all():
            raise InputError(f"{train.name} has one sample of each class, and none is left to test on")
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

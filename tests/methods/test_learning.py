"""The contrastive rooms learn something real: four handwritten digits that k-means on pixels mixes up."""

import functools

import jax
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from jaxdc import fit, methods, nn
from jaxdc.augment import Weak
from jaxdc.data import ArraySource
from jaxdc.stages import Experiment, Optimizer, Stage

DIGITS = (1, 5, 8, 9)  # of scikit-learn's; k-means has an ACC of 0.62
MARGIN = 0.1
VIEWS = Weak(crop=(0.4, 1.0), flip=False, greyscale_probability=0.0)
SETTINGS = {
    "simclr": {"temperature": 0.2},
    "moco": {"temperature": 0.2, "momentum": 0.99, "learning_rate": 0.3, "n_steps": 300},
    "pcl": {
        "momentum": 0.99,
        "n_prototypes": (16, 32, 64),
        "warmup_epochs": 30.0,
        "learning_rate": 0.3,
        "n_steps": 300,
    },
    "cc": {},
    "idfd": {"temperature": 0.2},
    "idfo": {"temperature": 0.2},
    "id": {"temperature": 0.2},
}


@functools.cache
def source():
    from jaxdc.data import open_source

    digits = open_source("digits")
    rows = np.isin(digits.labels, DIGITS)
    return ArraySource(digits.array[rows], digits.labels[rows])


@functools.cache
def k_means_accuracy():
    return fit(methods.KMeans(n_clusters=4), source(), devices=jax.devices()[:1]).metrics["acc"]


def train(name, data, *, n_steps=200, learning_rate=0.1, views=VIEWS, seed=0, **settings):
    method = methods.ALL[name](
        n_clusters=len(np.unique(data.labels)),
        backbone=nn.Backbone(depth=10, width=16),
        augmentation=views,
        **settings,
    )
    sgd = Optimizer(name="sgd", learning_rate=learning_rate, weight_decay=1e-4, cosine=True)
    stage = Stage(method=method, steps=n_steps, batch_size=128, optimizer=sgd)
    return fit(Experiment((stage,)), data, seed=seed, devices=jax.devices()[:1])


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_it_beats_k_means_on_pixels(name):
    assert k_means_accuracy() < 0.65
    assert train(name, source(), **SETTINGS[name]).metrics["acc"] > k_means_accuracy() + MARGIN


def neighbours_accuracy(result, labels):
    """Of 5, 10 and 20 nearest neighbours by cosine, in ten folds."""
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    votes = [KNeighborsClassifier(k, metric="cosine") for k in (5, 10, 20)]
    return np.mean([cross_val_score(vote, result.embeddings, labels, cv=folds) for vote in votes])


@pytest.mark.slow
def test_pcl_beats_its_warm_up():
    """Views so small that InfoNCE alone, which the warm-up is, tells too much apart."""
    data, gains = source(), []
    views = Weak(crop=(0.2, 1.0), flip=False, greyscale_probability=0.0)
    for seed in (1, 2, 3):
        with_prototypes, without = (
            train(
                "pcl",
                data,
                n_steps=300,
                views=views,
                seed=seed,
                momentum=0.99,
                n_prototypes=(48, 96, 192),
                warmup_epochs=epochs,
            )
            for epochs in (18.0, 60.0)
        )
        assert all(row["prototype"] == 0 for row in without.history if "loss" in row)
        gains.append(neighbours_accuracy(with_prototypes, data.labels) - neighbours_accuracy(without, data.labels))
    print(gains)
    assert np.mean(gains) > 0.01, gains


@pytest.mark.slow
@pytest.mark.parametrize("entropy_weight", [1.0, 0.0])
def test_cc_collapses_without_its_entropy_and_says_so(entropy_weight, digits):
    metrics = train("cc", digits, learning_rate=0.4, entropy_weight=entropy_weight).metrics
    told = any("clusters have no sample" in text or "one cluster" in text for text in metrics["warnings"])
    assert told == (entropy_weight == 0.0)
    assert (metrics["active_clusters"] < 10) == (entropy_weight == 0.0)

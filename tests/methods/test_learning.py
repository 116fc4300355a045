"""The contrastive rooms learn something real: four handwritten digits that k-means on pixels mixes up."""

import functools

import jax
import numpy as np
import pytest

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


def train(name, data, *, n_steps=200, learning_rate=0.1, **settings):
    method = methods.ALL[name](
        n_clusters=len(np.unique(data.labels)),
        backbone=nn.Backbone(depth=10, width=16),
        augmentation=VIEWS,
        **settings,
    )
    sgd = Optimizer(name="sgd", learning_rate=learning_rate, weight_decay=1e-4, cosine=True)
    stage = Stage(method=method, steps=n_steps, batch_size=128, optimizer=sgd)
    return fit(Experiment((stage,)), data, devices=jax.devices()[:1]).metrics


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_it_beats_k_means_on_pixels(name):
    assert k_means_accuracy() < 0.65
    assert train(name, source(), **SETTINGS[name])["acc"] > k_means_accuracy() + MARGIN


@pytest.mark.slow
@pytest.mark.parametrize("entropy_weight", [1.0, 0.0])
def test_cc_collapses_without_its_entropy_and_says_so(entropy_weight, digits):
    metrics = train("cc", digits, learning_rate=0.4, entropy_weight=entropy_weight)
    told = any("clusters have no sample" in text or "one cluster" in text for text in metrics["warnings"])
    assert told == (entropy_weight == 0.0)
    assert (metrics["active_clusters"] < 10) == (entropy_weight == 0.0)

"""The methods on images learn something real: four handwritten digits that k-means on pixels mixes up."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from jaxdc import fit, methods, nn
from jaxdc.augment import Digits, Original, Strong, Weak
from jaxdc.data import ArraySource
from jaxdc.methods.base import Experiment, Optimizer, Stage

pytestmark = pytest.mark.optimized
DIGITS = (1, 5, 8, 9)  # of scikit-learn's; k-means has an ACC of 0.62
MARGIN = 0.1
BACKBONE = nn.Backbone(depth=10, width=16)
CROPS = Digits(crops=(0.75, 0.875, 1.0))  # these digits have no margin
VIEWS = Weak(crop=(0.4, 1.0), flip=False, greyscale_probability=0.0)
SETTINGS = {
    "simclr": {"temperature": 0.2},
    "moco": {"temperature": 0.2, "momentum": 0.99, "learning_rate": 0.3, "n_steps": 300},
    "pcl": {
        "momentum": 0.99,
        "n_prototypes": (16, 32, 64),
        "warmup_epochs": 30.0,
        "refresh_epochs": 1.0,
        "learning_rate": 0.3,
        "n_steps": 300,
    },
    "cc": {},
    "idfd": {"temperature": 0.2},
    "idfo": {"temperature": 0.2},
    "id": {"temperature": 0.2},
    "deepcluster_v2": {"n_pseudo_clusters": 12, "n_steps": 300, "refresh_epochs": 1.0},
    "swav": {
        "digits": CROPS,
        "n_small": 2,
        "small_side": 0.75,
        "small_crop": (0.4, 0.7),
        "learning_rate": 0.3,
        "n_steps": 600,
    },
    "local_agg": {
        "digits": CROPS,
        "temperature": 0.2,
        "n_clusterings": 3,
        "warmup_epochs": 20.0,
        "n_steps": 300,
    },
    "adc": {
        "handwriting": False,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "n_steps": 300,
        "pretext_epochs": 40.0,
    },
    "jule": {"views": Original(), "refresh_epochs": 20.0, "learning_rate": 0.03, "n_steps": 300},
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


def train(name, data, *, n_steps=200, optimizer="sgd", learning_rate=0.1, views=VIEWS, seed=0, **settings):
    method = methods.ALL[name](
        n_clusters=len(np.unique(data.labels)),
        backbone=BACKBONE,
        augmentation=views,
        **settings,
    )
    rates = Optimizer(name=optimizer, learning_rate=learning_rate, weight_decay=1e-4, cosine=True)
    stage = Stage(method=method, steps=n_steps, batch_size=128, optimizer=rates)
    return fit(Experiment((stage,)), data, seed=seed, devices=jax.devices()[:1])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.full if name == "cc" else pytest.mark.long) for name in SETTINGS]
)
def test_it_beats_k_means_on_pixels(name):
    assert k_means_accuracy() < 0.65
    assert train(name, source(), **SETTINGS[name]).metrics["acc"] > k_means_accuracy() + MARGIN


def neighbors_accuracy(result, labels):
    """Of 5, 10 and 20 nearest neighbours by cosine, in ten folds."""
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    votes = [KNeighborsClassifier(k, metric="cosine") for k in (5, 10, 20)]
    return np.mean([cross_val_score(vote, result.embeddings, labels, cv=folds) for vote in votes])


@pytest.mark.long
def test_pcl_beats_its_warm_up(digits):
    """28 epochs on all ten digits, in views so small that it is hard; the warm-up is InfoNCE alone."""
    views = Weak(crop=(0.2, 1.0), flip=False, greyscale_probability=0.0)
    settings = {"n_steps": 28 * 14, "views": views, "momentum": 0.99, "n_prototypes": (25, 50, 100)}
    gains = []
    for seed in (4, 5, 6):
        with_prototypes, without = (
            train("pcl", digits, seed=seed, warmup_epochs=epochs, refresh_epochs=1.0, **settings)
            for epochs in (6.0, 28.0)
        )
        assert all(row["prototype"] == 0 for row in without.history if "loss" in row)
        accuracies = [neighbors_accuracy(run, digits.labels) for run in (with_prototypes, without)]
        gains.append(accuracies[0] - accuracies[1])
    assert np.mean(gains) > 0.02, gains


@pytest.mark.long
@pytest.mark.parametrize("entropy_weight", [1.0, 0.0])
def test_cc_collapses_without_its_entropy_and_says_so(entropy_weight, digits):
    metrics = train("cc", digits, learning_rate=0.4, entropy_weight=entropy_weight).metrics
    told = any("clusters are empty" in text or "one cluster" in text for text in metrics["warnings"])
    assert told == (entropy_weight == 0.0)
    assert (metrics["active_clusters"] < 10) == (entropy_weight == 0.0)


def train_deepcluster(digits, *, learning_rate=0.1, n_steps=560, **settings):
    """The result on all ten digits: 14 steps an epoch, a clustering after every fifth."""
    method = methods.DeepCluster(
        n_clusters=10,
        backbone=BACKBONE,
        augmentation=dataclasses.replace(VIEWS, jitter_probability=0.0),
        n_components=16,
        refresh_epochs=5.0,
        **settings,
    )
    sgd = Optimizer(name="sgd", learning_rate=learning_rate, weight_decay=1e-4)
    stage = Stage(method=method, steps=n_steps, batch_size=128, optimizer=sgd)
    return fit(Experiment((stage,)), digits, devices=jax.devices()[:1])


@pytest.mark.long
def test_deepcluster_agrees_more_and_more_with_itself(digits):
    result = train_deepcluster(digits)
    agreement = [row["nmi_before"] for row in result.history if "nmi_before" in row]
    third = len(agreement) // 3
    assert np.mean(agreement[-third:]) > np.mean(agreement[:third]) + 0.08
    assert result.metrics["warnings"] == []


@pytest.mark.long
@pytest.mark.parametrize("guarded", [True, False])
def test_a_network_that_tells_nothing_apart_gets_trivial_labels_without_the_guards(guarded, digits):
    # A learning rate that kills the network: features are one point, whose clusters are reported in both cases.
    result = train_deepcluster(digits, learning_rate=3.0, n_steps=210, reseed_empty=guarded, uniform=guarded)
    assert any("one cluster" in text for text in result.metrics["warnings"])
    last = [row for row in result.history if "loss" in row][-1]
    # Without them all have one pseudo-label, which is learned at once and for ever; with them ten are not.
    assert (last["loss"] < 0.1) == (not guarded)
    assert (last["pseudo_accuracy"] > 0.9) == (not guarded)


MILD = Strong(crop=(0.4, 1.0), flip=False, n_ops=0, cutout=None)  # 8 x 8 pixels bear no more


def train_scan(data, workdir, *, seed, **settings):
    """Metrics of a pretext with k-means, of SCAN after it, and of self-labelling after that."""
    shared = {"n_clusters": len(np.unique(data.labels)), "backbone": nn.Backbone(depth=10, width=16)}
    sgd = Optimizer(name="sgd", learning_rate=0.1, weight_decay=1e-4, cosine=True)
    adam = Optimizer(name="adam", learning_rate=1e-3, weight_decay=1e-4)
    slow = Optimizer(name="adam", learning_rate=1e-4, weight_decay=1e-4)
    pretext = methods.SimCLR(**shared, augmentation=VIEWS, temperature=0.2)
    clustering = methods.SCAN(**shared, augmentation=MILD, n_neighbors=5, n_heads=10, refresh_epochs=30.0)
    labelling = methods.SelfLabel(**shared, augmentation=MILD, threshold=0.95)
    results, before = [], None
    for method, n_steps, optimizer in ((pretext, 200, sgd), (clustering, 150, adam), (labelling, 100, slow)):
        stage = Stage(method=method, steps=n_steps, batch_size=128, optimizer=optimizer)
        folder = workdir / f"{len(results)}-{seed}"
        run = {"seed": seed, "workdir": folder, "init_from": before, "devices": jax.devices()[:1]}
        results.append(fit(Experiment((stage,)), data, **run))
        before = folder
    return [result.metrics for result in results]


@pytest.mark.long
def test_scan_beats_its_own_pretext_and_k_means(tmp_path):
    runs = [train_scan(source(), tmp_path, seed=seed) for seed in (0, 1)]
    pretext, clustering, labelling = np.mean([[m["acc"] for m in run] for run in runs], axis=0)
    assert clustering > pretext + 0.04
    assert labelling > clustering - 0.02


@pytest.mark.long
def test_self_labelling_of_two_clusters_does_not_collapse(digits, tmp_path):
    rows = np.isin(digits.labels, (3, 8))
    two = ArraySource(digits.array[rows], digits.labels[rows])
    _, clustering, labelling = train_scan(two, tmp_path, seed=0)
    assert labelling["active_clusters"] == 2
    assert labelling["warnings"] == []
    assert labelling["acc"] > max(clustering["acc"] - 0.02, 0.8)


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "n_steps", "margin"),
    [
        (methods.TSUC(n_clusters=4, backbone=BACKBONE, digits=CROPS), 250, MARGIN),
        (methods.DCCM(n_clusters=4, backbone=BACKBONE, information_weight=0.0), 600, 0.05),
    ],
    ids=["tsuc", "dccm"],
)
def test_clusters_of_views_beat_k_means_on_pixels(method, n_steps, margin):
    stage = Stage(method=method, steps=n_steps, batch_size=128, optimizer=Optimizer(learning_rate=1e-3))
    run = fit(Experiment((stage,)), source(), devices=jax.devices()[:1])
    assert run.metrics["acc"] > k_means_accuracy() + margin


@pytest.mark.long
def test_ruc_corrects_the_labels_of_k_means(digits):
    k_means = Stage(method=methods.KMeans(n_clusters=10), steps=0)
    sgd = Optimizer(name="sgd", learning_rate=0.01, nesterov=True, weight_decay=5e-4, cosine=True)
    method = methods.RUC(n_clusters=10, backbone=BACKBONE, digits=CROPS)
    stage = Stage(method=method, steps=280, batch_size=128, optimizer=sgd)
    before, after = (
        fit(Experiment(stages), digits, devices=jax.devices()[:1]).metrics["acc"]
        for stages in ((k_means,), (k_means, stage))
    )
    assert after > before + 0.005

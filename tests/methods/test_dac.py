"""DAC: thresholds, one step by other means, batches that teach nothing, what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import softmax

from jaxdc import augment, fit, methods, nn
from jaxdc.data import ArraySource
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Stage

B, K = 12, 6
SPEC = DataSpec((8, 8, 1), 40)
NARROW = {"n_clusters": K, "backbone": nn.Backbone(depth=6, width=16)}
KEY = jax.random.key(7)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_the_thresholds_are_the_papers_and_meet_at_the_end():
    # The paper: upper = 0.95 - lam, lower = 0.455 + 0.1 lam, until they meet at lam = 0.45.
    method = methods.DAC(n_clusters=10).for_length(90.0)
    for epoch in (0, 20, 90, 200):
        lam = 0.45 * min(epoch / 90, 1)
        np.testing.assert_allclose(method.thresholds(epoch), (0.95 - lam, 0.455 + 0.1 * lam), rtol=1e-6)
    falling = methods.DAC(n_clusters=10, selection="all", upper=0.9, adaptive_epochs=20.0).for_length(90.0)
    for epoch, expected in ((0, 0.9), (5, 0.8), (20, 0.5), (80, 0.5)):
        np.testing.assert_allclose(falling.thresholds(epoch), (expected, expected), rtol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize(
    "settings",
    [{}, {"selection": "all", "local_weight": 2.0}, {"local_weight": 0.5}],
)
def test_one_step(settings):
    method = methods.DAC(**NARROW, upper=0.9, lower=0.3, adaptive_epochs=10.0, **settings)
    model, aux = method.init(jax.random.key(0), SPEC)
    x = jax.random.uniform(jax.random.key(1), (B, 8, 8, 1))
    graphdef, state = nnx.split(model)

    @jax.jit
    def logits(state, view):
        copy = nnx.merge(graphdef, state, copy=True)
        return copy.head(copy.encoder(view, train=True), train=True)

    @jax.jit
    def step(state, batch):
        return method.loss(nnx.merge(graphdef, state, copy=True), aux, batch, KEY)

    def unit_probs(view):
        p = softmax(np.asarray(logits(state, view), np.float64), axis=1)
        return p / np.linalg.norm(p, axis=1, keepdims=True)

    teacher, z = unit_probs(x), unit_probs(method.augmentation(KEY, x))
    upper = 0.9 - 0.3 * 0.4
    lower = upper if method.selection == "all" else 0.3 + 0.3 * 0.2
    costs = []
    similar = np.clip(z @ z.T, 1e-7, 1 - 1e-7)
    for i in range(B):
        for j in range(i):
            if teacher[i] @ teacher[j] > upper:
                costs.append(-np.log(similar[i, j]))
            elif teacher[i] @ teacher[j] <= lower:
                costs.append(-np.log(1 - similar[i, j]))
    local = -np.mean(teacher * np.log(z) + (1 - teacher) * np.log(1 - z))
    assert 0 < len(costs) <= B * (B - 1) / 2
    assert (len(costs) == B * (B - 1) / 2) == (method.selection == "all")
    batch = {"x": x, "index": jnp.arange(B), "step": jnp.int32(9), "epoch": jnp.int32(3)}
    loss, (_, metrics) = step(state, batch)
    # Where two images are alike to the last digits, 1 - cosine is rounding: 6e-8 of 1e-6, in a logarithm.
    np.testing.assert_allclose(loss, np.mean(costs) + method.local_weight * local, rtol=1e-2)
    np.testing.assert_allclose(metrics["used"], len(costs) / (B * (B - 1) / 2), rtol=1e-6)


def test_the_last_layers_begin_as_the_identity():
    model, _ = methods.DAC(**NARROW).init(jax.random.key(0), SPEC)
    for layer in list(model.head.layers)[1:]:
        np.testing.assert_array_equal(layer.kernel[...], np.eye(K))


@pytest.mark.full
def test_a_batch_without_a_sure_pair_changes_nothing(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, size=(32, 8, 8, 1), dtype=np.uint8)

    def probabilities(method, n_steps):
        optimizer = Optimizer(weight_decay=0.1, learning_rate=0.1)
        stages = Experiment((Stage(method=method, steps=n_steps, batch_size=4, optimizer=optimizer),))
        return fit(stages, ArraySource(x), devices=jax.devices()[:1]).probabilities

    # No cosine is above 1, and none of two softmaxes is 0.
    deaf = methods.DAC(**NARROW, upper=1.0, lower=0.0, adaptive_epochs=1e6)
    np.testing.assert_array_equal(probabilities(deaf, 4), probabilities(deaf, 0))
    assert (probabilities(methods.DAC(**NARROW), 4) != probabilities(deaf, 0)).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"upper": 0.4}, "cross before the first step: they meet at 0.5 .* between lower, 0.455, and upper, 0.4"),
        ({"lower": 0.6}, "between lower, 0.6, and upper, 0.95"),
        ({"meeting": 0.97, "selection": "all"}, "begins at upper, 0.95, and ends at meeting, 0.97"),
        ({"upper": 1.2}, "upper must be above 0 and at most 1"),
        ({"selection": "released"}, "selection must be one of sure, all"),
        ({"local_weight": -1.0}, "local_weight must be at least 0"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        methods.DAC(n_clusters=10, **settings)


def test_one_sample_is_no_pair():
    stage = Stage(method=methods.DAC(**NARROW), steps=1, batch_size=1)
    with pytest.raises(InputError, match="batch_size must be at least 2"):
        fit(Experiment((stage,)), np.zeros((9, 8, 8, 1), np.uint8), devices=jax.devices()[:1])


def test_recipes():
    (paper,) = methods.DAC(n_clusters=10).stages("paper", DataSpec((28, 28, 1), 70_000))
    assert (paper.epochs, paper.batch_size) == (45, 32)
    (fast,) = methods.DAC(n_clusters=10).stages("fast", DataSpec((8, 8, 1), 1797))
    assert fast.n_steps(1797) >= 1000
    known = Experiment((fast,)).of_known_length(DataSpec((8, 8, 1), 1797))
    assert abs(known.stages[0].method.adaptive_epochs - fast.epochs) < 1
    assert dataclasses.replace(fast.method, adaptive_epochs=None) == methods.DAC(n_clusters=10)
    assert fast.method.augmentation == augment.Shifted()

"""ADC: one step by other means, when the centroids are placed and what is then read off, recipes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import logsumexp, softmax

from jaxdc import methods, nn
from jaxdc.methods.base import DataSpec, Experiment

B, K, C, R, D = 6, 3, 2, 2, 8
SPEC = DataSpec((8, 8, 1), 40)
METHOD = methods.ADC(
    n_clusters=K, backbone=nn.Backbone(depth=6, width=16), projection=D, n_centroids=C, repeats=R, norm_weight=0.1
)
X = np.asarray(jax.random.uniform(jax.random.key(1), (B, 8, 8, 1)))
BATCH = {"x": jnp.asarray(X), "index": jnp.arange(B), "step": jnp.int32(0), "epoch": jnp.int32(0)}


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def walks(anchors, z, labels):
    """Both losses, term by term."""
    scores = anchors @ z.T
    there, back = softmax(scores, axis=1), softmax(scores, axis=0).T
    trips = there @ back
    walker = 0.0
    for i, label in enumerate(labels):
        own = [j for j, other in enumerate(labels) if other == label]
        walker -= np.mean([np.log(1e-8 + trips[i, j]) for j in own]) / len(labels)
    return walker, -np.mean(np.log(1e-8 + there.mean(axis=0)))


@pytest.mark.full
@pytest.mark.parametrize("placed", [False, True])
def test_one_step(placed):
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    aux = {**aux, "placed": jnp.array(placed)}
    views = METHOD.repeated_views(jax.random.key(3), BATCH["x"])
    copy = nnx.merge(*nnx.split(model), copy=True)
    z = np.asarray(copy(views, train=True), np.float64).reshape(B, 1 + R, D)
    view_terms = walks(z[:, 1:].reshape(-1, D), z[:, 0], np.repeat(np.arange(B), R))
    expected = 0.1 * np.mean((np.linalg.norm(z, axis=2) - 1) ** 2)
    centroids, labels = np.asarray(model.centroids[...], np.float64), np.repeat(np.arange(K), C)
    terms = walks(centroids, z[:, 0], labels)
    (layer,) = model.head.mlp.layers
    logits = centroids @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
    logit = np.mean(logsumexp(logits, axis=1) - logits[np.arange(K * C), labels])
    expected += 0.2 * sum(view_terms) + sum(terms) + 0.5 * logit if placed else sum(view_terms)
    loss, (_, metrics) = nnx.jit(METHOD.loss)(model, aux, BATCH, jax.random.key(3))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    found = [metrics[name] for name in ("walker", "visit", "view_walker", "view_visit")]
    np.testing.assert_allclose(found, [*terms, *view_terms], rtol=1e-4)


@pytest.mark.full
def test_centroids_wait_for_k_means():
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, aux):
        return METHOD.loss(nnx.merge(graphdef, params, rest, copy=True), aux, BATCH, jax.random.key(3))[0]

    gradient_of = jax.jit(jax.grad(loss))
    gradient = gradient_of(params, aux)
    assert not gradient["centroids"][...].any() and not gradient["head"]["mlp"]["layers"][0]["kernel"][...].any()
    gradient = gradient_of(params, {**aux, "placed": jnp.array(True)})
    assert gradient["centroids"][...].any() and gradient["head"]["mlp"]["layers"][0]["kernel"][...].any()


@pytest.mark.full
def test_the_second_refresh_places_them_and_no_other():
    rng = np.random.default_rng(0)
    means = 3 * rng.normal(size=(K, D))
    labels = rng.integers(K, size=200)
    features = jnp.asarray(means[labels] + 0.01 * rng.normal(size=(200, D)), jnp.float32)
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    start = np.asarray(model.centroids[...])
    model, aux = METHOD.refresh(model, aux, features, jax.random.key(1))
    assert not aux["placed"]
    np.testing.assert_array_equal(model.centroids[...], start)
    model, aux = METHOD.refresh(model, aux, features, jax.random.key(1))
    assert aux["placed"]
    placed = np.asarray(model.centroids[...]).reshape(K, C, D)
    for of_cluster in placed:  # all centroids of a cluster at one mean, and not quite
        assert np.abs(of_cluster - means[:, None]).max(axis=(1, 2)).min() < 0.02
    assert 0 < np.ptp(placed, axis=1).max() < 1e-3
    probabilities = METHOD.assign(model, aux, features)  # of the nearest mean
    pairs = {(int(a), int(b)) for a, b in zip(labels, np.argmax(probabilities, axis=1), strict=True)}
    assert len(pairs) == K and len({b for _, b in pairs}) == K
    later, _ = METHOD.refresh(model, aux, features[::-1], jax.random.key(2))
    np.testing.assert_array_equal(later.centroids[...].reshape(K, C, D), placed)


def test_without_a_pretext_the_first_refresh_places_them():
    method = dataclasses.replace(METHOD, pretext_epochs=0.0)
    model, aux = method.init(jax.random.key(0), SPEC)
    _, aux = method.refresh(model, aux, jax.random.normal(jax.random.key(1), (40, D)), jax.random.key(1))
    assert aux["placed"]


def test_recipes():
    (paper,) = methods.ADC(n_clusters=10).stages("paper", DataSpec((28, 28, 1), 60_000))
    assert (paper.steps, paper.batch_size) == (10_000, 100)
    known = Experiment((paper,)).of_known_length(DataSpec((28, 28, 1), 60_000)).stages[0]
    assert known.refresh_interval(60_000) == 1000
    (fast,) = methods.ADC(n_clusters=10).stages("fast", DataSpec((8, 8, 1), 1797))
    assert fast.n_steps(1797) >= 1000

"""MiCE: the gate, one step by other means, the refresh, the posterior of plain images, what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import logsumexp

from jaxdc import methods, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec
from jaxdc.methods.mice import separated
from jaxdc.methods.parts import momentum

B, K, D, M = 6, 3, 5, 12
SPEC = DataSpec((8, 8, 1), 40)
METHOD = methods.MiCE(
    n_clusters=K,
    backbone=nn.Backbone(depth=6, width=16),
    projection=D,
    temperature=0.6,
    gate_temperature=0.3,
    queue_size=M,
)
BATCH = {"x": jax.random.uniform(jax.random.key(1), (B, 8, 8, 1)), "index": jnp.arange(B)}


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def start(n_filled=8):
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    queue = np.random.default_rng(2).normal(size=(M, K, D)).astype(np.float32)
    queue /= np.linalg.norm(queue, axis=2, keepdims=True)
    return model, {**aux, "queue": jnp.asarray(queue), "n_filled": jnp.int32(n_filled)}


def unit(x):
    return np.asarray(x, np.float64) / np.linalg.norm(x, axis=-1, keepdims=True)


def mixture(model, aux, gate, queries, keys):
    """Loss [b] and posterior [b, k], sample by sample."""
    mu, corners = unit(model.prototypes[...]), separated(K, D)
    queue = np.asarray(aux["queue"], np.float64)[: int(aux["n_filled"])]
    logits = unit(gate) @ corners.T / METHOD.gate_temperature
    joint = logits - logsumexp(logits, axis=1, keepdims=True)
    for i in range(len(joint)):
        for j in range(K):
            towards = (queries[i, j] + mu[j]) / METHOD.temperature
            scores = np.array([towards @ keys[i, j], *(queue[:, j] @ towards)])
            joint[i, j] += scores[0] - logsumexp(scores)
    evidence = logsumexp(joint, axis=1)
    return -evidence, np.exp(joint - evidence[:, None])


@pytest.mark.parametrize(("k", "d"), [(2, 1), (3, 5), (10, 128)])
def test_the_gates_prototypes_are_as_far_apart_as_can_be(k, d):
    corners = separated(k, d)
    assert corners.shape == (k, d)
    expected = np.where(np.eye(k), 1.0, -1 / (k - 1))
    np.testing.assert_allclose(corners @ corners.T, expected, atol=1e-6)


@pytest.mark.full
def test_one_step():
    model, aux = start()
    first, second, third = (METHOD.perturbed(k, BATCH["x"]) for k in jax.random.split(jax.random.key(3), 3))
    copy = nnx.merge(*nnx.split(model), copy=True)
    queries = np.asarray(copy(first, train=True), np.float64)
    gate = copy.gate(copy.encoder(third, train=True))
    keys = np.asarray(model(second), np.float64)  # the momentum copy is still equal
    np.testing.assert_allclose(np.linalg.norm(queries, axis=2), 1.0, rtol=1e-5)
    expected, posterior = mixture(model, aux, gate, queries, keys)
    loss, (new, metrics) = METHOD.loss(model, aux, BATCH, jax.random.key(3))
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-3)
    np.testing.assert_allclose(metrics["certainty"], posterior.max(axis=1).mean(), rtol=1e-3)
    sums = np.zeros((K, D))
    for i, j in enumerate(posterior.argmax(axis=1)):
        sums[j] += keys[i, j]
    np.testing.assert_allclose(new["sums"], sums, atol=1e-3)
    np.testing.assert_allclose(new["queue"][:B], keys, atol=1e-3)
    np.testing.assert_array_equal(new["queue"][B:], aux["queue"][B:])
    assert new["n_filled"] == M and new["position"] == B


def test_a_refresh_sets_the_prototypes_of_experts_that_have_samples():
    model, aux = start()
    before = np.asarray(model.prototypes[...])
    sums = jnp.zeros((K, D)).at[1].set(jnp.array([3.0, 0.0, 4.0, 0.0, 0.0]))
    model, aux = METHOD.refresh(model, {**aux, "sums": sums}, None, jax.random.key(0))
    np.testing.assert_allclose(model.prototypes[...][1], [0.6, 0, 0.8, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(model.prototypes[...][jnp.array([0, 2])], before[[0, 2]], rtol=1e-6)
    assert not aux["sums"].any()


@pytest.mark.full
def test_clusters_are_the_posterior_of_plain_images():
    model, aux = start()
    other, _ = METHOD.init(jax.random.key(9), SPEC)
    aux = {**aux, "momentum_encoder": nnx.state(other)}
    found = METHOD.assign(model, aux, METHOD.embed(model, aux, BATCH))
    x = METHOD.plain(BATCH["x"])
    gate = model.gate(model.encoder(x))
    _, expected = mixture(model, aux, gate, np.asarray(model(x)), np.asarray(momentum.network(model, aux)(x)))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_what_is_refused():
    with pytest.raises(InputError, match="projection must be at least 9"):
        methods.MiCE(n_clusters=10, projection=8)
    with pytest.raises(InputError, match="queue of 12 keys is smaller than a batch of 13"):
        METHOD.check_batch_size(13, SPEC)


def test_recipes():
    (paper,) = methods.MiCE(n_clusters=10).stages("paper", DataSpec((32, 32, 3), 60_000))
    assert (paper.epochs, paper.batch_size, paper.optimizer.learning_rate) == (1000, 256, 1.0)
    assert (paper.method.queue_size, paper.method.backbone.depth) == (16_384, 34)
    (fast,) = methods.MiCE(n_clusters=10).stages("fast", DataSpec((8, 8, 1), 1797))
    assert fast.n_steps(1797) >= 1000
    assert dataclasses.replace(fast.method, momentum=None) == methods.MiCE(n_clusters=10)

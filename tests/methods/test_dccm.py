"""DCCM: one step by other means, what has no partner or no negative, what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import softmax

from jaxdc import fit, methods, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Stage
from jaxdc.methods.dccm import _drawn

N, B, K = 40, 16, 4
SPEC = DataSpec((8, 8, 1), N)
METHOD = methods.DCCM(
    n_clusters=K,
    backbone=nn.Backbone(depth=6, width=16),
    critic_width=6,
    threshold=0.9,
    confidence=0.35,
    label_weight=3.0,
    information_weight=0.5,
)
KEY = jax.random.key(2)


def seen(model, x):
    """By a copy, for a pass moves the running statistics."""
    graphdef, state = nnx.split(model)
    copy = nnx.merge(graphdef, state, copy=True)
    features, local = copy.encoder.with_map(x, train=True)
    logits = np.asarray(copy.head(features, train=True), np.float64)
    return softmax(logits, axis=1), np.asarray(features, np.float64), np.asarray(local, np.float64)


def batch_of(x):
    return {"x": x, "index": jnp.arange(len(x)), "step": jnp.int32(0), "epoch": jnp.int32(0)}


@pytest.mark.full
def test_one_step():
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    x = jax.random.uniform(jax.random.key(1), (B, 8, 8, 1))
    view_key, pair_key = jax.random.split(KEY)
    teacher, _, _ = seen(model, x)
    probs, features, local = seen(model, METHOD.augmentation(view_key, x))

    unit = [p / np.linalg.norm(p, axis=1, keepdims=True) for p in (teacher, probs)]
    alike, cosines = unit[0] @ unit[0].T > 0.9, np.clip(unit[1] @ unit[1].T, 1e-7, 1 - 1e-7)
    off = ~np.eye(B, dtype=bool)
    assert 0 < (alike & off).sum() < off.sum()
    pairs = np.mean(np.where(alike, -np.log(cosines), -np.log(1 - cosines))[off])
    y, sure = np.eye(K)[teacher.argmax(axis=1)], teacher.max(axis=1) >= 0.35
    assert 0 < sure.sum() < B
    labels = np.mean(-np.mean(y * np.log(probs) + (1 - y) * np.log(1 - probs), axis=1) * sure)

    kernels = [(np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])) for layer in model.critic.layers]

    def score(i, j):
        """Of the features of i beside the map of j, by place."""
        h = np.concatenate(
            [local[j].reshape(-1, local.shape[3]), np.tile(features[i], (local[j, ..., 0].size, 1))], 1
        )
        for depth, (kernel, bias) in enumerate(kernels):
            h = h @ kernel + bias
            h = np.maximum(h, 0) if depth < len(kernels) - 1 else h
        return h[:, 0]

    keys = jax.random.split(pair_key, 3)
    partner, first, second = (
        np.asarray(_drawn(key, jnp.asarray(chosen))[0])
        for key, chosen in zip(keys, (alike & off, ~alike & off, ~alike & off), strict=True)
    )
    costs = []
    for i in range(B):
        for j, wrong, there in ((i, first[i], True), (partner[i], second[i], (alike & off)[i].any())):
            if there and (~alike & off)[i].any():
                costs.append(np.mean(np.log1p(np.exp(-score(i, j))) + np.log1p(np.exp(score(i, wrong)))))
    assert B < len(costs) <= 2 * B
    loss, (_, metrics) = METHOD.loss(model, aux, batch_of(x), KEY)
    np.testing.assert_allclose(metrics["pairs"], pairs, rtol=1e-2)
    np.testing.assert_allclose(metrics["labels"], 3 * labels, rtol=1e-4)
    np.testing.assert_allclose(metrics["information"], 0.5 * np.mean(costs), rtol=1e-4)
    np.testing.assert_allclose(loss, pairs + 3 * labels + 0.5 * np.mean(costs), rtol=1e-2)


def test_partners_and_negatives_are_drawn_among_the_candidates():
    candidates = jnp.array([[False, True, True], [False, False, False], [True, False, False]])
    drawn = [_drawn(jax.random.key(seed), candidates) for seed in range(30)]
    assert {int(rows[0]) for rows, _ in drawn} == {1, 2}
    assert {int(rows[2]) for rows, _ in drawn} == {0}
    np.testing.assert_array_equal(drawn[0][1], [True, False, True])


@pytest.mark.full
@pytest.mark.parametrize("x", [jnp.zeros((B, 8, 8, 1)), jax.random.uniform(KEY, (B, 8, 8, 1))])
@pytest.mark.parametrize("threshold", [1e-6, 0.999999])
def test_all_alike_or_none_stays_finite(x, threshold):
    """No negative, or no partner."""
    method = dataclasses.replace(METHOD, threshold=threshold, confidence=1.0)
    model, aux = method.init(jax.random.key(0), SPEC)
    step = nnx.jit(nnx.value_and_grad(method.loss, has_aux=True))
    (loss, (_, metrics)), gradient = step(model, aux, batch_of(x), KEY)
    assert np.isfinite(loss)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    if threshold < 0.5:
        assert metrics["information"] == 0


def test_without_a_critic_nothing_of_it_is_there():
    model, _ = dataclasses.replace(METHOD, information_weight=0.0).init(KEY, SPEC)
    assert not hasattr(model, "critic")


def test_what_is_refused(one_device):
    stage = Stage(method=METHOD, steps=1, batch_size=1)
    with pytest.raises(InputError, match="batch_size must be at least 2"):
        fit(Experiment((stage,)), np.zeros((9, 8, 8, 1), np.uint8), devices=one_device)
    with pytest.raises(InputError, match="threshold must be above 0 and below 1"):
        methods.DCCM(n_clusters=3, threshold=1.0)


def test_recipes():
    (paper,) = methods.DCCM(n_clusters=10).stages("paper", DataSpec((32, 32, 3), 60_000))
    assert (paper.epochs, paper.batch_size, paper.optimizer.learning_rate) == (200, 32, 1e-4)


@pytest.mark.full
def test_the_map_of_a_network_is_that_with_which_its_last_stage_begins():
    encoder = nn.Backbone(depth=18, width=4).make(16, 3, nnx.Rngs(0))
    x = jax.random.uniform(KEY, (2, 16, 16, 3))
    features, local = encoder.with_map(x)
    assert local.shape == (2, 4, 4, encoder.n_local)
    np.testing.assert_array_equal(features, encoder(x))
    rest = local
    for block in list(encoder.blocks)[-2:]:
        rest = block(rest, False)
    np.testing.assert_allclose(rest.mean(axis=(1, 2)), features, rtol=1e-5)

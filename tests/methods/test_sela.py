"""SeLa: one step and its renewals by other means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from jaxdc import cluster, nn
from jaxdc.errors import InputError
from jaxdc.methods import SeLa
from jaxdc.methods.base import DataSpec

N, H, K = 60, 3, 4
SPEC = DataSpec((8, 8, 1), N)
SMALL = {"n_clusters": K, "backbone": nn.Backbone(depth=6, width=16), "n_heads": H}


def begun(**settings):
    method = SeLa(**{**SMALL, **settings})
    model, aux = method.init(jax.random.key(0), SPEC)
    model.heads.kernel[...] *= 100
    return method, model, aux


def features_of(model, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(N, model.encoder.n_features)), jnp.float32)


def test_labels_begin_balanced_and_shuffled():
    _, _, aux = begun()
    labels = np.asarray(aux["pseudo_labels"])
    assert labels.shape == (H, N) and labels.dtype == np.int32
    for one in labels:
        np.testing.assert_array_equal(np.bincount(one), N // K)
    assert (labels[0] != labels[1]).any() and (labels[0] != np.arange(N) % K).any()


@pytest.mark.full
def test_one_step():
    method, model, aux = begun()
    x, key, index = jax.random.uniform(jax.random.key(1), (6, 8, 8, 1)), jax.random.key(2), jnp.arange(6) * 7
    graphdef, state = nnx.split(model)

    def compiled(state, x):
        loss, rest = method.loss(nnx.merge(graphdef, state, copy=True), aux, {"x": x, "index": index}, key)
        encoder = nnx.merge(graphdef, state, copy=True).encoder
        return loss, rest, encoder(method.augmentation(key, x), train=True)

    loss, (after, metrics), features = jax.jit(compiled)(state, x)
    per_head, right = [], []
    for h in range(H):
        logits = np.asarray(features) @ np.asarray(model.heads.kernel[...][h])
        labels = np.asarray(aux["pseudo_labels"])[h, np.asarray(index)]
        per_head.append(-log_softmax(logits, axis=1)[np.arange(6), labels].mean())
        right.append(logits.argmax(axis=1) == labels)
    np.testing.assert_allclose(loss, np.mean(per_head), rtol=1e-4)
    np.testing.assert_allclose(after["losses"], per_head, rtol=1e-4)
    np.testing.assert_allclose(metrics["pseudo_accuracy"], np.mean(right), rtol=1e-5)


def test_heads_are_renewed_in_turn_or_together():
    method, model, aux = begun()
    features = features_of(model)
    before = np.asarray(aux["pseudo_labels"])
    expected = [
        cluster.balanced_labels(jax.nn.log_softmax(logits, axis=1), sharpness=10.0).labels
        for logits in model.heads(features)
    ]
    for turn in range(4):
        model, aux = method.refresh(model, aux, features, jax.random.key(0))
        renewed = np.asarray(aux["pseudo_labels"])
        np.testing.assert_array_equal(renewed[turn % H], expected[turn % H])
        for h in range(turn + 1, H):
            np.testing.assert_array_equal(renewed[h], before[h])
    assert int(aux["turn"]) == 4
    method, model, aux = begun(one_head_at_a_time=False)
    _, aux = method.refresh(model, aux, features, jax.random.key(0))
    np.testing.assert_array_equal(aux["pseudo_labels"], jnp.stack(expected))


@pytest.mark.full
def test_the_head_of_the_lowest_loss_is_reported_and_k_means_beside_it():
    method, model, aux = begun()
    features = features_of(model)
    aux = {**aux, "losses": jnp.array([2.0, 0.5, 1.0])}
    model, aux = method.finish(model, aux, features, jax.random.key(0))
    assert int(aux["head"]) == 1
    logits = np.asarray(model.heads(features)[1])
    np.testing.assert_array_equal(method.assign(model, aux, features).argmax(axis=1), logits.argmax(axis=1))
    unit = features / jnp.linalg.norm(features, axis=1, keepdims=True)
    expected = cluster.k_means(jax.random.key(0), unit, K, n_init=method.n_init).labels
    found = method.alternatives(model, aux, features)
    np.testing.assert_array_equal(found["k-means"].argmax(axis=1), expected)


@pytest.mark.full
def test_with_more_pseudo_clusters_k_means_is_reported():
    method, model, aux = begun(n_pseudo_clusters=12)
    features = features_of(model)
    assert aux["pseudo_labels"].max() == 11
    model, aux = method.refresh(model, aux, features, jax.random.key(0))
    assert method.assign(model, aux, features).shape == (N, K)
    assert method.alternatives(model, aux, features) == {}
    with pytest.raises(InputError, match="can't make 61 pseudo-clusters from 60 samples"):
        begun(n_pseudo_clusters=61)


def test_recipes():
    cifar = DataSpec((32, 32, 3), 60_000)
    (paper,) = SeLa(n_clusters=10).stages("paper", cifar)
    assert (paper.epochs, paper.batch_size, paper.optimizer.decay_at) == (400, 128, (0.4, 0.6, 0.8))
    assert paper.method.epochs_between_refreshes == 1.0
    (fast,) = SeLa(n_clusters=10).stages("fast", cifar)
    assert fast.method.epochs_between_refreshes == 2.0
    assert SeLa(n_clusters=10, refresh_epochs=3.0).stages("fast", cifar)[0].method.refresh_epochs == 3.0

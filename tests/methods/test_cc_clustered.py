"""CC on samples of which a part feeds the instance head alone."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import augment, fit, losses, nn
from jaxdc.data import ArraySource
from jaxdc.errors import InputError
from jaxdc.methods import CC
from jaxdc.methods.base import DataSpec, Schedule
from jaxdc.methods.parts import two_views

B, SPEC = 12, DataSpec((8, 8, 3), 40)
METHOD = CC(n_clusters=3, backbone=nn.Backbone(depth=6, width=16), projection=8, n_clustered=20)


def batch(seed=0):
    rng = np.random.default_rng(seed)
    index = rng.permutation(SPEC.n_samples)[:B].astype(np.int32)
    return {"x": jnp.asarray(rng.random((B, *SPEC.shape), np.float32)), "index": jnp.asarray(index)}


@pytest.mark.full
def test_the_cluster_losses_are_those_of_the_first_samples_alone():
    key, data = jax.random.key(1), batch()
    first = np.flatnonzero(np.asarray(data["index"]) < 20)
    assert 2 < len(first) < B
    graphdef, state = nnx.split(METHOD.init(jax.random.key(0), SPEC)[0])

    @jax.jit
    def losses_of(state):
        return METHOD.loss(nnx.merge(graphdef, state, copy=True), {}, data, key)

    @jax.jit
    def outputs_of(state):
        model = nnx.merge(graphdef, state, copy=True)
        views = two_views.side_by_side(*augment.two_views(key, data["x"], METHOD.augmentation))
        features = model.encoder(views, train=True)
        return model.projector(features), jax.nn.softmax(model.head(features), axis=1)

    loss, (_, parts) = losses_of(state)
    z, probs = outputs_of(state)
    probs1, probs2 = (p[first] for p in two_views.apart(probs))
    cluster = jnp.mean(losses.cluster_nt_xent(probs1, probs2))
    imbalance = 2 * math.log(3) - losses.mean_entropy(probs1) - losses.mean_entropy(probs2)
    np.testing.assert_allclose(parts["cluster"], cluster, rtol=1e-5)
    np.testing.assert_allclose(parts["imbalance"], imbalance, rtol=1e-4, atol=1e-6)
    instance = jnp.mean(losses.nt_xent(*two_views.apart(z)))
    np.testing.assert_allclose(loss, instance + cluster + imbalance, rtol=1e-5)


def gradient_of_head(method, data):
    model, aux = method.init(jax.random.key(0), SPEC)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params):
        return method.loss(nnx.merge(graphdef, params, rest, copy=True), aux, data, jax.random.key(1))[0]

    return jax.tree.leaves(nnx.to_pure_dict(jax.jit(jax.grad(loss))(params))["head"])


@pytest.mark.full
def test_without_any_of_them_the_head_learns_nothing_and_nothing_breaks():
    data = {**batch(), "index": jnp.arange(20, 20 + B, dtype=jnp.int32)}
    for leaf in gradient_of_head(METHOD, data):
        np.testing.assert_array_equal(leaf, 0.0)
    everywhere = dataclasses.replace(METHOD, n_clustered=SPEC.n_samples)
    assert any(np.abs(leaf).max() > 0 for leaf in gradient_of_head(everywhere, data))


@pytest.mark.full
def test_a_run_reports_the_labelled_images_alone(one_device):
    rng = np.random.default_rng(0)
    x = rng.integers(256, size=(40, 8, 8, 3), dtype=np.uint8)
    source = ArraySource(x, np.arange(20) % 3, n_reported=20)
    result = fit(METHOD, source, schedule=Schedule(epochs=2, batch_size=10), devices=one_device)
    assert result.labels.shape == (20,)
    assert result.metrics["n_samples"] == 20
    assert result.metrics["acc"] is not None
    assert result.metrics["protocol"].endswith("scored on the first 20 of 40; one seed")


@pytest.mark.parametrize(
    ("n_clustered", "word"), [(0, "n_clustered must be at least 1"), (41, "there are 40 samples")]
)
def test_too_few_or_too_many(n_clustered, word):
    with pytest.raises(InputError, match=word):
        dataclasses.replace(METHOD, n_clustered=n_clustered).init(jax.random.key(0), SPEC)

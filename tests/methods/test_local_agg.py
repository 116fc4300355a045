"""Local Aggregation: both losses and their turn, the clusterings of the bank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import methods, nn
from jaxdc.errors import InputError
from jaxdc.losses import instance_discrimination, local_aggregation
from jaxdc.methods.base import DataSpec

N, B = 20, 6
SPEC = DataSpec((8, 8, 3), N)
SMALL = {"n_clusters": 3, "backbone": nn.Backbone(depth=6, width=16), "projection": 5, "n_clusterings": 2}
KEY = jax.random.key(7)


@pytest.mark.full
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_step(epoch):
    method = methods.LocalAggregation(**SMALL, temperature=0.4, warmup_epochs=2.0, n_background=9, momentum=0.3)
    model, aux = method.init(jax.random.key(0), SPEC)
    aux["pseudo_labels"] = jnp.asarray(np.random.default_rng(0).integers(4, size=(2, N)), jnp.int32)
    x, index = jax.random.uniform(jax.random.key(1), (B, *SPEC.shape)), jnp.array([3, 19, 0, 7, 8, 11])
    graphdef, state = nnx.split(model)
    z = nnx.merge(graphdef, state, copy=True)(method.augmentation(KEY, x), train=True)
    bank = aux["memory_bank"]
    if epoch < 2:
        each = instance_discrimination(z, bank, index, temperature=0.4)
    else:
        each = local_aggregation(z, bank, index, aux["pseudo_labels"], n_background=9, temperature=0.4)
    batch = {"x": x, "index": index, "epoch": jnp.int32(epoch), "step": jnp.int32(0)}
    loss, (new, _) = method.loss(nnx.merge(graphdef, state, copy=True), aux, batch, KEY)
    np.testing.assert_allclose(loss, np.mean(each), rtol=1e-4)
    v = np.asarray(z) / np.linalg.norm(z, axis=1, keepdims=True)
    mixed = 0.3 * np.asarray(bank)[np.asarray(index)] + 0.7 * v
    np.testing.assert_allclose(
        new["memory_bank"][index], mixed / np.linalg.norm(mixed, axis=1, keepdims=True), rtol=1e-3, atol=1e-5
    )


@pytest.mark.full
def test_the_bank_is_clustered_and_the_features_are_reported():
    method = methods.LocalAggregation(**SMALL, n_pseudo_clusters=2)
    model, aux = method.init(jax.random.key(0), SPEC)
    points = np.array([[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0]], np.float32)
    aux["memory_bank"] = jnp.asarray(points[np.arange(N) % 2])
    width = aux["centroids"].shape[1]
    features = jnp.asarray(np.random.default_rng(0).normal(size=(N, width)), jnp.float32)
    _, new = method.refresh(model, aux, features, KEY)
    for labels in np.asarray(new["pseudo_labels"]):
        assert len(set(labels[::2])) == len(set(labels[1::2])) == 1 and labels[0] != labels[1]
    assert new["centroids"].shape == (3, width) and np.abs(new["centroids"]).max() > 0


def test_what_was_left_open():
    method = methods.LocalAggregation(n_clusters=10)
    assert method.for_length(200.0).warmup_epochs == 10
    assert method._n_pseudo(50_000) == 1250
    (stage,) = method.stages("paper", DataSpec((32, 32, 3), 50_000))
    assert (stage.optimizer.decay_at, stage.batch_size, stage.epochs) == ((0.8, 0.95), 128, 200)
    with pytest.raises(InputError, match="can't make 50 pseudo-clusters from 20 samples"):
        methods.LocalAggregation(**SMALL, n_pseudo_clusters=50).init(KEY, SPEC)

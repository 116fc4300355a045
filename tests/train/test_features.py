"""The features of all samples, each on the device that keeps it, and the clusters found from them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.cluster import layout
from jaxdc.data import ArraySource
from jaxdc.distributed import sharding
from jaxdc.methods import AE
from jaxdc.methods.base import DataSpec, Stage
from jaxdc.train import embedding, inputs
from jaxdc.train.assignments import Assign
from jaxdc.train.embedding import make_embed_resident
from jaxdc.train.labels import labels_of
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import abstract_state, init_state

METHOD = AE(n_clusters=3, hidden=(16,), latent=8)


def data(n):
    return np.random.default_rng(0).normal(size=(n, 12)).astype(np.float32)


@functools.cache
def network(n, n_devices):
    mesh, tx = sharding.make_mesh(jax.devices()[:n_devices]), make_optimizer(Stage(method=METHOD, steps=1), n)
    graphdef, state = init_state(METHOD, tx, jax.random.key(0), DataSpec((12,), n), mesh)
    centroids = jax.random.normal(jax.random.key(1), state.aux["centroids"].shape)
    state = dataclasses.replace(state, aux={**state.aux, "centroids": sharding.replicate(centroids, mesh)})
    return mesh, tx, graphdef, state


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("n", [120, 121])
def test_features_are_where_they_are_kept(n, looped):
    found = []
    for n_devices in (1, 8):
        mesh, _, graphdef, state = network(n, n_devices)
        embed = make_embed_resident(METHOD, graphdef, mesh, 4 * n_devices, looped=looped)
        found.append(embed(state, sharding.replicate(data(n), mesh)))
    one, eight = found
    assert eight.shape == (n, 8)
    assert eight.sharding.shard_shape(eight.shape) == ((15, 8) if n == 120 else (121, 1))
    np.testing.assert_allclose(one, eight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [120, 121])
def test_streamed_features_are_those_of_the_resident_ones(n, monkeypatch):
    monkeypatch.setattr(inputs, "EMBED_BLOCK", 4)
    monkeypatch.setattr(embedding, "LARGEST_GATHER", 100)  # two parts of a batch
    mesh, tx, graphdef, state = network(n, 8)
    resident = make_embed_resident(METHOD, graphdef, mesh, 32)(state, sharding.replicate(data(n), mesh))
    stream = inputs.StreamingInput(ArraySource(data(n)), mesh)
    stream.begin(Stage(method=METHOD, steps=1, batch_size=8), graphdef, tx, jax.random.key(0), 0)
    features = stream.features(state)
    assert features.sharding == resident.sharding
    np.testing.assert_allclose(features, resident, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [120, 121])
def test_labels_are_those_of_the_probabilities(n):
    mesh, _, graphdef, state = network(n, 8)
    x = np.random.default_rng(1).normal(size=(n, 8)).astype(np.float32)
    features = jax.device_put(x, layout.sharding_of((n, 8), mesh))
    assign = Assign(METHOD, graphdef, mesh, 32)
    probabilities = assign.probabilities(state, features, n - 10)
    assert probabilities.shape == (n - 10, 3)
    expected = METHOD.assign(None, jax.device_get(state.aux), x[: n - 10])
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(assign.labels(state, features, n - 10), labels_of(probabilities))


def test_all_values_come_to_the_host():
    mesh = sharding.make_mesh()
    for shape in ((120, 8), (121, 8)):
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        np.testing.assert_array_equal(sharding.to_host(jax.device_put(x, layout.sharding_of(shape, mesh))), x)


@pytest.mark.full
@pytest.mark.optimized
@pytest.mark.parametrize("n", [1_280_000, 1_281_167])
def test_memory_of_a_device_is_its_part(n):
    mesh, d, k = sharding.make_mesh(), 2048, 10_000
    method = AE(n_clusters=k, hidden=(8,), latent=d)
    tx, spec = make_optimizer(Stage(method=method, steps=1), n), DataSpec((4,), n)
    graphdef, state = abstract_state(method, tx, spec, mesh)
    x = jax.ShapeDtypeStruct((n, 4), jnp.float32, sharding=sharding.replicated(mesh))
    embed = make_embed_resident(method, graphdef, mesh, 8 * 1024, looped=True)
    features = jax.ShapeDtypeStruct((n, d), jnp.float32, sharding=layout.sharding_of((n, d), mesh))
    assign = Assign(method, graphdef, mesh, 8192)
    part = 4 * n * d / 8
    for compiled in (
        jax.jit(embed).lower(state, x).compile(),
        assign._labels.lower(state, features, np.int32(0)).compile(),
    ):
        memory = compiled.memory_analysis()
        in_all = memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes
        assert part <= in_all <= part + 2 * 2**30, in_all / 2**30

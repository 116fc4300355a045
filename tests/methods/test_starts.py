"""Where centroids begin, on two long bars that k-means cuts across."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxdc.distributed import sharding
from jaxdc.methods import DEC, IDEC, DataSpec
from jaxdc.methods.parts import starts

N = 80  # samples of a bar; both have the same mean along it
ALONG = np.linspace(-10.0, 10.0, N)
BARS = np.concatenate([np.stack([ALONG, np.full(N, height)], axis=1) for height in (-2.0, 2.0)]).astype(np.float32)
KEY = jax.random.key(0)


def by_height(centroids):
    centroids = np.asarray(centroids)
    return centroids[np.argsort(centroids[:, 1])]


def test_k_means_cuts_the_bars_and_the_spectral_start_finds_them():
    across, along = (
        starts.first_centroids(KEY, BARS, 2, start=start, n_init=5) for start in ("k-means", "spectral")
    )
    np.testing.assert_allclose(np.sort(across[:, 0]), [-5.0, 5.0], atol=0.3)
    np.testing.assert_allclose(by_height(along), [[0.0, -2.0], [0.0, 2.0]], atol=1e-5)


def test_the_graph_holds_some_of_many_samples(monkeypatch):
    monkeypatch.setattr(starts, "N_GRAPH", 100)
    seen = []
    cut = starts.spectral_clusters
    monkeypatch.setattr(
        starts, "spectral_clusters", lambda key, z, k, **kw: seen.append(z) or cut(key, z, k, **kw)
    )
    centroids = starts.first_centroids(KEY, BARS, 2, start="spectral", n_init=5)
    (z,) = seen
    assert z.shape == (100, 2)
    assert len(np.unique(z, axis=0)) == 100  # each at most once
    np.testing.assert_allclose(by_height(centroids)[:, 1], [-2.0, 2.0], atol=1e-5)
    half = np.asarray(z)[:, 1] < 0
    np.testing.assert_allclose(by_height(centroids)[0], np.asarray(z)[half].mean(axis=0), atol=1e-5)


def test_more_clusters_than_neighbors_of_a_few_samples():
    centroids = starts.first_centroids(KEY, BARS[:6], 6, start="spectral", n_init=1)
    assert centroids.shape == (6, 2)
    assert np.isfinite(centroids).all()


def test_samples_that_are_split_over_devices_start_at_the_same_place():
    split = jax.device_put(BARS, NamedSharding(sharding.make_mesh(), PartitionSpec("data")))
    centroids = starts.first_centroids(KEY, split, 2, start="spectral", n_init=5)
    whole = starts.first_centroids(KEY, jnp.asarray(BARS), 2, start="spectral", n_init=5)
    np.testing.assert_allclose(by_height(centroids), by_height(whole), atol=1e-5)


@pytest.mark.parametrize("kind", [DEC, IDEC])
def test_dec_and_idec_begin_where_they_are_told(kind):
    method = kind(n_clusters=2, hidden=(), latent=2, start="spectral")
    model, aux = method.init(KEY, DataSpec((2,), len(BARS)))
    model, aux = method.refresh(model, aux, jnp.asarray(BARS), KEY)
    np.testing.assert_allclose(by_height(model.centroids[...]), [[0.0, -2.0], [0.0, 2.0]], atol=1e-5)

"""The baselines against scikit-learn, which they lean on or replace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.cluster import AgglomerativeClustering
from sklearn.decomposition import PCA

from jaxdc import fit
from jaxdc.errors import InputError
from jaxdc.methods import Agglomerative, DataSpec, KMeans, NMFKMeans, PCAKMeans, Spectral
from jaxdc.methods.parts import eigenvectors
from jaxdc.methods.shallow import non_negative_least_squares
from jaxdc.metrics import adjusted_rand_score


def test_pca_features_are_those_of_scikit_learn(digits, one_device):
    result = fit(PCAKMeans(n_clusters=10, n_components=8, n_init=2), digits, devices=one_device)
    x = digits.array.reshape(len(digits.array), -1) / 255
    oracle = PCA(8).fit_transform(x)
    assert result.embeddings.shape == (1797, 8)
    np.testing.assert_allclose(np.abs(result.embeddings), np.abs(oracle), atol=2e-3)


def test_agglomerative_labels_are_scikit_learns_and_new_samples_join_their_neighbour(digits, one_device):
    x = digits.array[:300].reshape(300, -1) / 255
    result = fit(Agglomerative(n_clusters=5), x, devices=one_device)
    assert adjusted_rand_score(AgglomerativeClustering(5).fit_predict(x), result.labels) == 1.0
    np.testing.assert_array_equal(result.predict(x + 1e-4), result.labels)


@pytest.mark.full
def test_spectral_finds_what_k_means_cannot(one_device):
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 300)
    radius = np.repeat([1.0, 4.0, 8.0], 100)
    x = np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
    truth = np.repeat([0, 1, 2], 100)
    assert fit(Spectral(n_clusters=3), x, truth, devices=one_device).metrics["acc"] == 1.0
    assert fit(KMeans(n_clusters=3), x, truth, devices=one_device).metrics["acc"] < 0.8


@pytest.mark.full
def test_spectral_by_iteration_is_that_of_scikit_learn(digits, monkeypatch):
    method, x = Spectral(n_clusters=10), digits.array.reshape(len(digits.array), -1) / 255
    labels = method._fit(x, 0)
    monkeypatch.setattr(Spectral, "factorized", 1000)
    monkeypatch.setattr(eigenvectors, "DENSE", 1000)
    assert adjusted_rand_score(labels, method._fit(x, 0)) > 0.99


def test_non_negative_least_squares_against_scipy():
    rng = np.random.default_rng(0)
    components, x = rng.random((4, 12)), rng.random((10, 12))
    ours = non_negative_least_squares(jnp.asarray(x @ components.T), jnp.asarray(components @ components.T))
    np.testing.assert_allclose(ours, [nnls(components.T, row)[0] for row in x], atol=1e-4)


def test_nmf_refuses_negative_values(one_device):
    x = jax.random.normal(jax.random.key(0), (50, 6))
    with pytest.raises(InputError, match="0 or more"):
        fit(NMFKMeans(n_clusters=3), np.asarray(x), devices=one_device)


def test_limits_are_told(one_device):
    with pytest.raises(InputError, match="n_neighbors is 10, but there are only 8"):
        fit(Spectral(n_clusters=3), np.random.default_rng(0).random((8, 4)), devices=one_device)
    with pytest.raises(InputError, match="13 GiB"):
        Agglomerative(n_clusters=3).init(jax.random.key(0), DataSpec((1,), 60_000))

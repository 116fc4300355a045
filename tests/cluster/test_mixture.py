"""The mixture of Gaussians against scikit-learn and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from jaxdc import cluster
from jaxdc.cluster.mixture import _fit
from jaxdc.metrics import clustering_accuracy_score


def long_and_small(n=300, seed=0):
    """A long cluster beside two small ones, which k-means cuts across."""
    rng = np.random.default_rng(seed)
    sizes = np.array([[12.0, 0.3], [0.5, 0.5], [0.5, 0.5]])
    means = np.array([[0.0, 0.0], [-6.0, 3.0], [6.0, 3.0]])
    labels = np.arange(n) % 3
    return (means[labels] + sizes[labels] * rng.normal(size=(n, 2))).astype(np.float32), labels


@pytest.mark.full
def test_clusters_of_any_shape_are_found():
    x, labels = long_and_small()
    found = cluster.gaussian_mixture(jax.random.key(0), x, 3, n_init=3)
    of_k_means = cluster.k_means(jax.random.key(0), x, 3, n_init=3)
    assert clustering_accuracy_score(labels, np.argmax(found.probabilities, axis=1)) > 0.97
    assert clustering_accuracy_score(labels, np.asarray(of_k_means.labels)) < 0.9
    np.testing.assert_allclose(found.weights, 1 / 3, atol=0.02)


def test_each_iteration_is_scikit_learns():
    x, _ = long_and_small()
    x = x - x.mean(axis=0)
    begun = np.random.default_rng(1).dirichlet(np.ones(3), size=len(x)).astype(np.float32)
    ridge = 0.01 * x.var(axis=0).mean()
    found = _fit(jnp.asarray(x), jnp.asarray(begun), ridge, 30, 0.0)
    oracle = GaussianMixture(3, reg_covar=ridge, max_iter=30, tol=0.0, warm_start=True)
    oracle._initialize_parameters = lambda x, *args, **kwargs: oracle._initialize(x, begun)
    with pytest.warns(match="did not converge"):
        oracle.fit(x.astype(np.float64))
    np.testing.assert_allclose(found.means, oracle.means_, atol=2e-2)
    np.testing.assert_allclose(found.weights, oracle.weights_, atol=2e-3)
    np.testing.assert_allclose(found.covariances, oracle.covariances_, rtol=0.02, atol=2e-2)
    assert abs(float(found.log_likelihood) - oracle.score(x)) < 1e-2


def test_one_gaussian_by_hand():
    x = jnp.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])
    found = cluster.gaussian_mixture(jax.random.key(0), x, 1, ridge=1e-6)
    np.testing.assert_allclose(found.means, [[1.0, 2.0]], atol=1e-5)
    np.testing.assert_allclose(found.covariances, [[[1.0, 0.0], [0.0, 4.0]]], atol=1e-4)
    # -log(2 pi) - log sqrt(1 * 4) - (1 + 1) / 2
    np.testing.assert_allclose(found.log_likelihood, -np.log(2 * np.pi) - np.log(2) - 1, atol=1e-4)


@pytest.mark.parametrize("x", [np.zeros((6, 3)), np.eye(6)[:, :2], np.arange(6.0)[:, None] + 1e6])
def test_finite_at_the_edges(x):
    found = cluster.gaussian_mixture(jax.random.key(0), jnp.asarray(x), 4)
    assert all(np.isfinite(value).all() for value in found)
    np.testing.assert_allclose(np.sum(found.probabilities, axis=1), 1, atol=1e-5)


@pytest.mark.full
def test_sharded_samples_stay_in_place():
    x, _ = long_and_small(n=304)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.P("data"))
    alone = cluster.gaussian_mixture(jax.random.key(0), x, 3)
    spread = cluster.gaussian_mixture(jax.random.key(0), jax.device_put(x, sharding), 3)
    np.testing.assert_allclose(spread.probabilities, alone.probabilities, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": 7}, "n_clusters"),
        ({"n_init": 0}, "n_init"),
        ({"n_iterations": 0}, "n_iterations"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"ridge": 0.0}, "ridge must be above 0"),
    ],
)
def test_what_is_out_of_range(settings, word):
    with pytest.raises(ValueError, match=word):
        cluster.gaussian_mixture(jax.random.key(0), np.eye(6), **{"n_clusters": 2, **settings})

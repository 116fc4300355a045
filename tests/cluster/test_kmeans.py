import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from jaxdc.cluster import k_means, nearest_centroid


@pytest.fixture(scope="module")
def blobs():
    x, y = make_blobs(600, n_features=5, centers=7, cluster_std=0.5, random_state=0)
    return x.astype(np.float32), y


def test_finds_blobs_and_keeps_its_promises(blobs):
    x, y = blobs
    result = k_means(jax.random.key(0), x, 7, n_init=3)
    assert adjusted_rand_score(y, result.labels) > 0.99
    assert result.labels.dtype == jnp.int32
    # Each sample has its nearest centroid, each centroid is the mean of its samples.
    np.testing.assert_array_equal(nearest_centroid(x, result.centroids), result.labels)
    for j in range(7):
        np.testing.assert_allclose(result.centroids[j], x[result.labels == j].mean(0), atol=1e-3)
    inertia = ((x - np.asarray(result.centroids)[np.asarray(result.labels)]) ** 2).sum()
    np.testing.assert_allclose(result.inertia, inertia, rtol=1e-4)


def test_inertia_is_that_of_scikit_learn(digits):
    x = digits.array.reshape(len(digits.array), -1).astype(np.float32)
    oracle = KMeans(10, n_init=10, random_state=0).fit(x).inertia_
    assert k_means(jax.random.key(1), x, 10, n_init=10).inertia <= oracle * 1.005


def test_same_start_takes_scikit_learns_path(blobs):
    x, _ = blobs
    key = jax.random.key(3)
    ours = k_means(key, x, 7, n_iterations=100, tolerance=0.0, init="random")
    start = jax.random.choice(jax.random.split(key, 1)[0], len(x), (7,), replace=False)
    oracle = KMeans(7, init=x[np.asarray(start)], n_init=1, tol=0.0).fit(x)
    np.testing.assert_allclose(ours.inertia, oracle.inertia_, rtol=1e-4)
    np.testing.assert_allclose(ours.centroids, oracle.cluster_centers_, atol=1e-3)


def test_more_runs_never_hurt_and_a_key_decides_all(blobs):
    x, _ = blobs
    one = k_means(jax.random.key(5), x, 12)
    again = k_means(jax.random.key(5), x, 12)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert k_means(jax.random.key(5), x, 12, n_init=8).inertia <= one.inertia * 1.05


def test_an_empty_cluster_is_seeded_again():
    # Three starts on one point: two of the clusters are empty after the first step.
    from jaxdc.cluster.kmeans import _lloyd

    x = jnp.concatenate([jnp.full((10, 2), v) + jnp.arange(10.0)[:, None] * 1e-3 for v in (0.0, 5.0, 9.0)])
    start = jnp.zeros((3, 2)).at[1].set(100.0).at[2].set(200.0)
    centroids, _ = _lloyd(x[None], start, 50, 0.0, False)
    assert len(np.unique(nearest_centroid(x, centroids))) == 3


def test_a_far_away_origin_costs_no_digits(blobs):
    x, _ = blobs
    near, far = k_means(jax.random.key(0), x, 7, n_init=3), k_means(jax.random.key(0), x + 1000.0, 7, n_init=3)
    np.testing.assert_allclose(far.inertia, near.inertia, rtol=1e-2)
    np.testing.assert_array_equal(nearest_centroid(x + 20_000.0, near.centroids + 20_000.0), near.labels)


def test_spherical_clusters_directions():
    rng = np.random.default_rng(0)
    angles = np.repeat([0.0, 2.0, 4.0], 50) + 0.05 * rng.normal(size=150)
    x = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.1, 50, size=(150, 1))
    result = k_means(jax.random.key(0), x, 3, n_init=5, spherical=True)
    assert adjusted_rand_score(np.repeat([0, 1, 2], 50), result.labels) == 1.0
    np.testing.assert_allclose(np.linalg.norm(result.centroids, axis=1), 1.0, rtol=1e-5)


def test_sharded_samples_give_the_same_clusters(blobs):
    from jaxdc import sharding

    x, _ = blobs
    plain = k_means(jax.random.key(0), x, 7, n_init=2)
    mesh = sharding.make_mesh()
    sharded = k_means(jax.random.key(0), jax.device_put(x, sharding.by_sample(mesh)), 7, n_init=2)
    np.testing.assert_array_equal(plain.labels, sharded.labels)


def test_duplicates_and_as_many_clusters_as_samples():
    assert k_means(jax.random.key(0), jnp.ones((10, 3)), 4).inertia == 0.0
    x = jnp.arange(5.0)[:, None]
    np.testing.assert_allclose(k_means(jax.random.key(0), x, 5, n_init=5).inertia, 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"x": jnp.ones(4)}, "x must be a matrix"),
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": 9}, "within 1 and 8 samples"),
        ({"n_init": 0}, "n_init"),
        ({"init": "guess"}, "guess"),
    ],
)
def test_wrong_arguments_are_named(arguments, word):
    arguments = {"x": jnp.ones((8, 2)), "n_clusters": 2, **arguments}
    with pytest.raises(ValueError, match=word):
        k_means(jax.random.key(0), arguments.pop("x"), **arguments)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from jaxdc.cluster import mini_batch_k_means, mini_batch_update, nearest_centroid

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def blobs():
    x, y = make_blobs(1600, n_features=5, centers=6, cluster_std=0.6, random_state=3)
    return x.astype(np.float32), y


def batches_of(x, size=400):
    return [x[i : i + size] for i in range(0, len(x), size)]


def test_updates_are_scikit_learns(blobs):
    x, _ = blobs
    start = x[:6]
    oracle = MiniBatchKMeans(6, init=start, n_init=1, reassignment_ratio=0.0)
    centroids, counts = start, np.zeros(6)
    for batch in batches_of(x):
        oracle.partial_fit(batch)
        centroids, counts, inertia = mini_batch_update(centroids, counts, batch)
        np.testing.assert_allclose(centroids, oracle.cluster_centers_, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(counts, oracle._counts, rtol=1e-6)
    assert inertia > 0


def test_given_centroids_take_the_path_of_the_updates(blobs):
    x, _ = blobs
    result = mini_batch_k_means(KEY, batches_of(x), 6, init=x[:6], reassignment_ratio=0.0)
    centroids, counts, total = x[:6], np.zeros(6), 0.0
    for batch in batches_of(x):
        centroids, counts, inertia = mini_batch_update(centroids, counts, batch)
        total += inertia * len(batch)
    np.testing.assert_allclose(result.centroids, centroids, rtol=1e-5)
    np.testing.assert_allclose(result.inertia, total / len(x), rtol=1e-5)
    np.testing.assert_array_equal(result.counts, counts)


def test_finds_blobs_as_full_k_means_does(blobs):
    x, y = blobs
    result = mini_batch_k_means(KEY, batches_of(x), 6, n_epochs=3)
    labels = nearest_centroid(x, result.centroids)
    assert adjusted_rand_score(y, labels) > 0.98
    inertia = ((x - np.asarray(result.centroids)[labels]) ** 2).sum()
    assert inertia < 1.02 * KMeans(6, n_init=5, random_state=0).fit(x).inertia_
    np.testing.assert_allclose(result.inertia * len(x), inertia, rtol=0.05)
    assert result.counts.sum() == 3 * len(x)


def test_lists_functions_and_iterators_are_one(blobs):
    x, _ = blobs
    listed = mini_batch_k_means(KEY, batches_of(x), 6)
    for batches in (lambda: iter(batches_of(x)), iter(batches_of(x)), (jnp.array(b) for b in batches_of(x))):
        np.testing.assert_array_equal(mini_batch_k_means(KEY, batches, 6).centroids, listed.centroids)


def test_a_short_last_batch_counts_only_its_samples(blobs):
    x = blobs[0][:990]
    result = mini_batch_k_means(KEY, batches_of(x), 1, reassignment_ratio=0.0)
    np.testing.assert_allclose(result.centroids[0], x.mean(0), atol=1e-4)
    assert result.counts.tolist() == [990.0]


@pytest.mark.full
def test_batches_may_be_sharded(blobs, on_devices):
    x, _ = blobs
    plain = mini_batch_k_means(KEY, batches_of(x), 6, init=x[:6])
    sharded = mini_batch_k_means(KEY, [on_devices(b) for b in batches_of(x)], 6, init=x[:6])
    np.testing.assert_allclose(plain.centroids, sharded.centroids, rtol=1e-4, atol=1e-4)


def test_lost_centroids_move_to_samples(blobs):
    x, y = blobs
    start = np.concatenate([[x[y == j].mean(0) for j in range(5)], np.full((1, 5), 1e4)])
    kept = mini_batch_k_means(KEY, batches_of(x), 6, n_epochs=3, init=start, reassignment_ratio=0.0)
    assert kept.counts[5] == 0 and kept.centroids[5, 0] == 1e4
    moved = mini_batch_k_means(KEY, batches_of(x), 6, n_epochs=3, init=start)
    assert moved.counts[5] > 0 and moved.inertia < kept.inertia


def test_spherical_centroids_are_directions(blobs):
    x, _ = blobs
    centroids = mini_batch_k_means(KEY, batches_of(x), 6, spherical=True).centroids
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1.0, rtol=1e-5)
    longer = [b * np.linspace(1.0, 9.0, len(b), dtype=np.float32)[:, None] for b in batches_of(x)]
    again = mini_batch_k_means(KEY, longer, 6, spherical=True).centroids
    np.testing.assert_allclose(centroids, again, atol=1e-3)


def test_memory_holds_no_distances_of_the_whole_batch(usual_blocks):
    shape = jax.ShapeDtypeStruct
    b, d, k = 100_000, 32, 10_000
    arguments = shape((k, d), jnp.float32), shape((k,), jnp.float32), shape((b, d), jnp.float32)
    compiled = jax.jit(mini_batch_update).lower(*arguments).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2**27  # [b, k] is 4 GiB


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"batches": []}, "batches is empty"),
        ({"batches": [jnp.ones(3)]}, "batches must be a matrix"),
        ({"batches": [jnp.ones((9, 2)), jnp.ones((9, 3))]}, "batches has 3 columns"),
        ({"batches": iter([jnp.ones((9, 2))]), "n_epochs": 2}, "batches must be a list or a function"),
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": 19}, "n_clusters must be at most the 18 samples"),
        ({"n_epochs": 0}, "n_epochs"),
        ({"init": "guess"}, "guess"),
        ({"init": jnp.ones((2, 3))}, "init must be centroids of shape"),
        ({"init_size": 1}, "init_size"),
        ({"reassignment_ratio": -0.1}, "reassignment_ratio"),
    ],
)
def test_wrong_arguments_are_named(arguments, word):
    arguments = {"batches": [jnp.ones((9, 2))] * 2, "n_clusters": 2, **arguments}
    with pytest.raises(ValueError, match=word):
        mini_batch_k_means(KEY, arguments.pop("batches"), arguments.pop("n_clusters"), **arguments)


def test_wrong_counts_are_named():
    with pytest.raises(ValueError, match="counts must have 2 values"):
        mini_batch_update(jnp.ones((2, 3)), jnp.zeros(3), jnp.ones((4, 3)))

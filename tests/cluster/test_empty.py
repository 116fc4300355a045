import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.cluster import reassign_empty

KEY = jax.random.key(0)


def test_half_of_the_big_one_moves():
    centroids = jnp.array([[3.0, 4.0], [50.0, 50.0], [-9.0, 1.0]])
    labels = np.array([0] * 9 + [2])
    result = reassign_empty(KEY, centroids, labels, perturbation=0.01)
    np.testing.assert_array_equal(np.bincount(result.labels), [5, 4, 1])
    assert result.labels[9] == 2 and result.labels.dtype == jnp.int32
    # Both move by the same small vector, in opposite directions; the third stays.
    np.testing.assert_allclose((result.centroids[0] + result.centroids[1]) / 2, centroids[0], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(result.centroids[0] - centroids[0]), 0.05, rtol=1e-4)
    np.testing.assert_array_equal(result.centroids[2], centroids[2])


def test_which_half_and_which_cluster_is_random():
    labels = jnp.zeros(100, jnp.int32)
    moved = np.mean(
        [reassign_empty(jax.random.key(i), jnp.ones((2, 2)), labels).labels for i in range(20)], axis=0
    )
    assert 0.2 < moved[:50].mean() < 0.8 and moved.max() < 1.0
    # Of a cluster of 90 and one of 10, the big one gives nearly always, not always.
    labels = jnp.array([0] * 90 + [1] * 10)
    sizes = [np.bincount(reassign_empty(jax.random.key(i), jnp.ones((3, 2)), labels).labels) for i in range(60)]
    share = np.mean([size[0] == 45 for size in sizes])
    assert 0.75 < share < 1.0


def test_every_cluster_gets_samples_and_no_other_sample_moves():
    rng = np.random.default_rng(0)
    labels = rng.choice([3, 7, 8, 40], p=[0.7, 0.1, 0.1, 0.1], size=500)
    result = reassign_empty(KEY, rng.normal(size=(100, 4)).astype(np.float32), labels)
    new = np.asarray(result.labels)
    assert np.bincount(new, minlength=100).min() >= 1
    assert np.isfinite(result.centroids).all()
    # Old clusters keep a part; what left them went to clusters that were empty.
    assert not np.isin(new[new != labels], [3, 7, 8, 40]).any()
    for j in (3, 7, 8, 40):
        assert (new[labels == j] == j).any()


def test_nothing_to_do_changes_nothing():
    centroids, labels = jnp.arange(6.0).reshape(3, 2), jnp.array([2, 0, 1, 1])
    result = reassign_empty(KEY, centroids, labels)
    np.testing.assert_array_equal(result.centroids, centroids)
    np.testing.assert_array_equal(result.labels, labels)


@pytest.mark.full
def test_edges():
    few = reassign_empty(KEY, jnp.zeros((5, 2)), jnp.array([1, 1, 1])).labels
    assert len(set(few.tolist())) == 3  # fewer samples than clusters: each has its own
    assert np.isfinite(reassign_empty(KEY, jnp.zeros((2, 2)), jnp.array([1, 1])).centroids).all()
    assert reassign_empty(KEY, jnp.ones((2, 2)), jnp.zeros(0, jnp.int32)).labels.shape == (0,)
    assert reassign_empty(KEY, jnp.ones((1, 2), jnp.bfloat16), jnp.zeros(3, int)).centroids.dtype == jnp.float32
    jitted = jax.jit(reassign_empty)(KEY, jnp.ones((3, 2)), jnp.zeros(8, jnp.int32)).labels
    assert sorted(np.bincount(jitted)) == [2, 2, 4]


@pytest.mark.full
def test_labels_may_be_sharded(on_devices):
    labels = np.arange(800) % 3
    plain = reassign_empty(KEY, jnp.ones((6, 2)), labels)
    np.testing.assert_array_equal(plain.labels, reassign_empty(KEY, jnp.ones((6, 2)), on_devices(labels)).labels)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"centroids": jnp.ones(3)}, "centroids must be a matrix"),
        ({"labels": jnp.ones((2, 2), int)}, "labels must be integers"),
        ({"labels": jnp.ones(2)}, "labels must be integers"),
        ({"labels": jnp.array([0, 3])}, "labels must be from 0 to 2, but one is 3"),
        ({"labels": jnp.array([0, -1])}, "but one is -1"),
        ({"perturbation": -1.0}, "perturbation"),
    ],
)
def test_wrong_arguments_are_named(arguments, word):
    arguments = {"centroids": jnp.ones((3, 2)), "labels": jnp.array([0, 1]), **arguments}
    with pytest.raises(ValueError, match=word):
        reassign_empty(KEY, arguments.pop("centroids"), arguments.pop("labels"), **arguments)

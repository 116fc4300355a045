import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.cluster import balanced_order

KEY = jax.random.key(0)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(6))
def test_every_cluster_gets_as_many_draws(seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(50, 400)), int(rng.integers(2, 40))
    # Sizes of many orders, some clusters empty.
    labels = rng.choice(k, size=n, p=rng.dirichlet(np.full(k, 0.3)))
    rows = np.asarray(balanced_order(jax.random.key(seed), labels, k))
    assert rows.shape == (n,) and rows.dtype == np.int32 and rows.min() >= 0 and rows.max() < n
    sizes, draws = np.bincount(labels, minlength=k), np.bincount(labels[rows], minlength=k)
    share = n / np.sum(sizes > 0)
    assert (draws[sizes == 0] == 0).all()
    assert set(draws[sizes > 0]) <= {int(np.floor(share)), int(np.ceil(share))}
    times = np.bincount(rows, minlength=n)
    for j in np.flatnonzero(sizes):
        of_cluster = times[labels == j]
        # Distinct samples where there are enough; else each as often as the others, to within one.
        assert of_cluster.max() - of_cluster.min() <= 1
        assert of_cluster.sum() == draws[j]


def test_clusters_of_one_size_give_a_permutation():
    labels = np.arange(120) % 4
    rows = np.asarray(balanced_order(KEY, labels, 4))
    np.testing.assert_array_equal(np.sort(rows), np.arange(120))
    assert (rows != np.arange(120)).any()


def test_what_is_drawn_and_when_is_random():
    labels = np.array([0] * 90 + [1] * 10)
    orders = np.stack([balanced_order(jax.random.key(i), labels, 2) for i in range(200)])
    np.testing.assert_array_equal(orders[3], balanced_order(jax.random.key(3), labels, 2))
    times = np.stack([np.bincount(rows, minlength=100) for rows in orders]).mean(axis=0)
    np.testing.assert_allclose(times[:90], 50 / 90, atol=0.2)  # five deviations of the mean
    np.testing.assert_array_equal(times[90:], 5.0)
    # At every place of the order both clusters are as likely.
    np.testing.assert_allclose(labels[orders].mean(axis=0), 0.5, atol=0.2)
    # With three clusters of 100 draws, the one draw that is left over goes to each of them.
    three = np.array([0] * 50 + [1] * 30 + [2] * 20)
    most = [
        np.bincount(three[np.asarray(balanced_order(jax.random.key(i), three, 3))]).argmax() for i in range(60)
    ]
    assert np.bincount(most, minlength=3).min() > 5


@pytest.mark.full
def test_edges_and_devices(on_devices):
    np.testing.assert_array_equal(np.sort(balanced_order(KEY, jnp.full(7, 2), 5)), np.arange(7))
    few = np.asarray(balanced_order(KEY, jnp.array([4, 0, 9]), 10))
    np.testing.assert_array_equal(np.sort(few), np.arange(3))
    labels = np.random.default_rng(0).integers(9, size=160) ** 2 % 7
    plain = jax.jit(lambda x: balanced_order(KEY, x, 7))(labels)
    np.testing.assert_array_equal(balanced_order(KEY, on_devices(labels), 7), plain)


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (jnp.ones((2, 2), int), "labels must be integers"),
        (jnp.ones(2), "labels must be integers"),
        (jnp.array([0, 3]), "labels must be from 0 to 2, but one is 3"),
    ],
)
def test_wrong_arguments_are_named(labels, word):
    with pytest.raises(ValueError, match=word):
        balanced_order(KEY, labels, 3)
    with pytest.raises(ValueError, match="n_clusters must be at least 1"):
        balanced_order(KEY, jnp.zeros(2, int), 0)

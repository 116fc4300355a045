import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.cluster import balanced_labels, balanced_order

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


def by_the_released_code(probs, sharpness):
    """SeLa's iteration in float64: row and column factors by turns."""
    p = probs.T**sharpness  # [k, n]
    k, n = p.shape
    rows, columns = np.ones(k) / k, np.ones(n) / n
    for _ in range(20_000):
        rows = (1 / k) / (p @ columns)
        columns = (1 / n) / (rows @ p)
    return n * (columns[:, None] * p.T * rows[None, :])


def test_balanced_labels_by_hand():
    probs = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert probs.argmax(axis=1).tolist() == [0, 0]
    # 0.9 * 0.2 > 0.8 * 0.1: the second gives way.
    for sharpness in (1.0, 25.0):
        found = balanced_labels(jnp.log(probs), sharpness=sharpness)
        assert found.labels.tolist() == [0, 1] and found.labels.dtype == jnp.int32
        assert found.deviation <= 1e-3
    # Rows and columns sum to 1, and the odds ratio is (9 * 2) / (1 * 8), of which 1.5 is the root.
    np.testing.assert_allclose(by_the_released_code(probs, 1), [[0.6, 0.4], [0.4, 0.6]], rtol=1e-6)


@pytest.mark.parametrize("sharpness", [2.0, 10.0])
def test_balanced_labels_are_those_of_the_released_iteration(sharpness):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(4, 0.6) * [1, 2, 4, 8], size=120) + 1e-4
    probs /= probs.sum(axis=1, keepdims=True)
    assert np.bincount(probs.argmax(axis=1), minlength=4).max() > 50
    q = by_the_released_code(probs, sharpness)
    found = balanced_labels(jnp.log(probs), sharpness=sharpness, tolerance=1e-4)
    best, second = np.sort(q, axis=1)[:, :-3:-1].T
    sure = best - second > 0.01
    assert sure.sum() > 80
    np.testing.assert_array_equal(found.labels[sure], q.argmax(axis=1)[sure])
    if sharpness > 5:  # all but hard
        assert abs(np.bincount(found.labels, minlength=4) - 30).max() <= 3


def test_balanced_labels_where_powers_are_zero():
    """In float32, 1e-3 to the power of 25 is 0, and a row of zeros would have no label."""
    log_probs = jnp.log(jnp.array([[1e-30, 1e-3], [1e-10, 1e-3], [1e-3, 1e-3 + 1e-4], [1e-20, 1e-3]]))
    found = balanced_labels(log_probs, sharpness=25.0)
    assert found.labels.tolist() == [1, 0, 0, 1]


def test_balanced_labels_ends_after_some_rounds():
    log_probs = jnp.log(jnp.asarray(np.random.default_rng(1).dirichlet([1, 9, 9], size=50), jnp.float32))
    assert balanced_labels(log_probs, max_rounds=1).deviation > balanced_labels(log_probs).deviation
    with pytest.raises(ValueError, match="sharpness must be positive, but is 0"):
        balanced_labels(log_probs, sharpness=0.0)
    with pytest.raises(ValueError, match="max_rounds"):
        balanced_labels(log_probs, max_rounds=0)
    with pytest.raises(ValueError, match="log_probs must be a matrix"):
        balanced_labels(log_probs[0])

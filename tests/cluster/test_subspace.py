import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import normalize

from jaxdc.cluster import coefficient_neighbors, ridge_weight, spectral_clustering, subspace_affinity


def dsc_net(c, keep, rank, power):
    """What the released code of DSC-Net does, ``thrC`` then ``post_proC``, with rows in place of columns."""
    c = c.copy()
    if keep < 1:
        for row in c:
            order = np.argsort(-np.abs(row))
            n_kept = np.searchsorted(np.cumsum(np.abs(row)[order]), keep * np.abs(row).sum()) + 1
            row[order[n_kept:]] = 0
    c = 0.5 * (c + c.T)
    u, s, _ = np.linalg.svd(c)
    z = normalize(u[:, :rank] * np.sqrt(s[:rank]), axis=1)
    z = z @ z.T
    z = np.abs(np.where(z > 0, z, 0) ** power)
    return 0.5 * (z + z.T) / z.max()


def random(n=30, seed=0):
    c = np.random.default_rng(seed).normal(size=(n, n))
    np.fill_diagonal(c, 0)
    return c


@pytest.mark.parametrize(("keep", "rank", "power"), [(1.0, 5, 1.0), (0.7, 7, 3.5), (0.2, 3, 8.0)])
def test_the_released_post_processing(keep, rank, power):
    c = random()
    expected = dsc_net(c, keep, rank, power)
    got = subspace_affinity(jnp.asarray(c), keep=keep, rank=rank, power=power)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


def test_without_a_rank_by_hand():
    c = jnp.array([[9.0, 4.0, -5.0, 1.0], [0, 0, 0, 0], [-1, 2, 0, 0], [3, 3, 3, 7]])
    plain = np.array([[0, 2, 3, 2], [2, 0, 1, 1.5], [3, 1, 0, 1.5], [2, 1.5, 1.5, 0]])
    np.testing.assert_allclose(subspace_affinity(c), plain)
    np.testing.assert_allclose(subspace_affinity(c, power=2.0), plain**2)
    # Of the first row 9 of 10 are kept, of the third 2 of 3, of the last all of its equals.
    pruned = np.array([[0, 2, 2.5, 1.5], [2, 0, 1, 1.5], [2.5, 1, 0, 1.5], [1.5, 1.5, 1.5, 0]])
    np.testing.assert_allclose(subspace_affinity(c, keep=0.65), pruned)


def test_samples_that_explain_each_other_come_together():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    c = np.where(labels[:, None] == labels, rng.normal(0.05, 0.02, (60, 60)), rng.normal(0.0, 0.02, (60, 60)))
    for settings in ({}, {"keep": 0.7}, {"rank": 3, "power": 4.0}):
        affinity = subspace_affinity(jnp.asarray(c), **settings)
        found = spectral_clustering(jax.random.key(0), affinity, 3).labels
        assert adjusted_rand_score(labels, found) > 0.95, settings


def test_samples_that_nothing_explains():
    c = random(6)
    c[2] = c[:, 2] = 0.0
    for settings in ({"keep": 0.5}, {"rank": 2, "power": 3.0}):
        affinity = np.asarray(subspace_affinity(jnp.asarray(c), **settings))
        assert np.isfinite(affinity).all()
        np.testing.assert_array_equal(affinity[2], 0.0)


def test_neighbors_by_hand():
    # The rows of (C + C^T) / 2, times 2: (0 3 0 0), (3 0 4 0), (0 4 0 1), (0 0 1 0).
    c = jnp.array([[7.0, 3, 0, 0], [0, 7, 0, 0], [0, 4, 7, 1], [0, 0, 0, 7]])
    a, b = 4 / np.sqrt(17), 4 / (5 * np.sqrt(1))  # of rows 0 and 2, and of rows 1 and 3
    cosines = np.array([[0, 0, a, 0], [0, 0, 0, b], [a, 0, 0, 0], [0, b, 0, 0]])
    np.testing.assert_allclose(coefficient_neighbors(c, 1), cosines, rtol=1e-6)
    # A sample whose row is 0 has no neighbour; one that only points at another counts half.
    c = jnp.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    rows = np.array([[0, 2, 1], [2, 0, 1], [1, 1, 0]])
    cosine = rows @ rows.T / np.outer(*2 * [np.linalg.norm(rows, axis=1)])
    got = np.asarray(coefficient_neighbors(c, 1))
    np.testing.assert_allclose(got[2, :2], cosine[2, :2], rtol=1e-6)
    assert got[0, 1] == 0.0  # 0.2, but 2 is nearer to both
    np.testing.assert_array_equal(got[3], 0.0)


def test_samples_of_a_plane_are_neighbors_however_dense_the_coefficients():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    c = np.where(labels[:, None] == labels, rng.normal(0.03, 0.02, (60, 60)), rng.normal(0.0, 0.02, (60, 60)))
    affinity = coefficient_neighbors(jnp.asarray(c), 8)
    assert (np.count_nonzero(affinity, axis=1) < 30).all()
    found = spectral_clustering(jax.random.key(0), affinity, 3).labels
    assert adjusted_rand_score(labels, found) > 0.95


def test_ridge_weight_by_hand():
    # m directions of the same strength s: m s / (s + w) = degrees.
    np.testing.assert_allclose(ridge_weight(jnp.full(8, 5.0), 2.0), 15.0, rtol=1e-5)
    # 3 / (3 + w) + 1 / (1 + w) = 1 for w^2 = 3; directions without any strength add nothing.
    np.testing.assert_allclose(ridge_weight(jnp.array([3.0, 1.0, 0.0]), 1.0), np.sqrt(3), rtol=1e-5)
    # Samples ten times as large, or a thousand times as many.
    np.testing.assert_allclose(ridge_weight(jnp.array([3e5, 1e5, 0.0]), 1.0), 1e5 * np.sqrt(3), rtol=1e-5)
    assert float(ridge_weight(jnp.array([1.0, 0.0, 0.0]), 2.0)) < 1e-5
    assert np.isfinite(ridge_weight(jnp.zeros(3), 1.0))


def test_the_coefficients_of_that_weight_have_as_many_degrees_of_freedom():
    z = np.random.default_rng(0).normal(size=(40, 6)) * np.array([9, 5, 3, 2, 1, 0.5])
    w = float(ridge_weight(jnp.asarray(np.linalg.svd(z, compute_uv=False) ** 2), 2.5))
    coefficients = z @ np.linalg.solve(z.T @ z + w * np.eye(6), z.T)
    np.testing.assert_allclose(np.trace(coefficients), 2.5, rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: coefficient_neighbors(jnp.ones((3, 2)), 1), "coefficients must be square"),
        (lambda: coefficient_neighbors(jnp.eye(3), 3), "n_neighbors must be from 1 to 2"),
        (lambda: ridge_weight(jnp.ones((2, 2)), 1.0), "squares must be a vector"),
        (lambda: ridge_weight(jnp.ones(2), 2.0), "degrees must be above 0 and below 2"),
        (lambda: ridge_weight(jnp.ones(2), 0.0), "degrees must be above 0"),
    ],
)
def test_wrong_arguments_of_the_defaults_are_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()


@pytest.mark.parametrize(
    ("c", "settings", "word"),
    [
        (jnp.ones(3), {}, "coefficients must be a matrix"),
        (jnp.ones((3, 2)), {}, "coefficients must be square"),
        (jnp.eye(3), {"keep": 0.0}, "keep must be above 0"),
        (jnp.eye(3), {"keep": 1.5}, "at most 1"),
        (jnp.eye(3), {"rank": 4}, "rank must be from 1 to 3"),
        (jnp.eye(3), {"power": 0.0}, "power must be above 0"),
    ],
)
def test_wrong_arguments_are_named(c, settings, word):
    with pytest.raises(ValueError, match=word):
        subspace_affinity(c, **settings)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from losses.members import vectors
from scipy.linalg import sqrtm
from sklearn.cross_decomposition import CCA

from jaxdc.losses import canonical_correlation, self_expression


def test_self_expression_by_hand():
    z, c = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), jnp.array([[0, 2, 0], [0, 0, 1], [1, 0, 0.0]])
    np.testing.assert_allclose(self_expression(z, c), [[-5, -6], [-2, -2], [4, 4]])


def two_views(n=400, seed=0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 2))
    z1 = np.concatenate([shared @ rng.normal(size=(2, 3)), rng.normal(size=(n, 2))], 1)
    z2 = shared @ rng.normal(size=(2, 4)) + 0.7 * rng.normal(size=(n, 4))
    return (z1 + 0.3 * rng.normal(size=z1.shape)).astype(np.float32), z2.astype(np.float32)


@pytest.mark.parametrize("n_components", [1, 2, 4])
def test_correlations_are_scikit_learns(n_components):
    z1, z2 = two_views()
    u, v = CCA(n_components, scale=False, max_iter=5000, tol=1e-10).fit_transform(z1, z2)
    oracle = sum(np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(n_components))
    ours = canonical_correlation(z1, z2, n_components=n_components, regularization=1e-7)
    np.testing.assert_allclose(ours, -oracle, rtol=1e-3)


def test_regularization_is_added_to_the_covariances():
    z1, z2 = two_views()
    c1, c2 = z1 - z1.mean(0), z2 - z2.mean(0)
    n = len(z1) - 1
    s11, s22, s12 = c1.T @ c1 / n + 0.3 * np.eye(5), c2.T @ c2 / n + 0.3 * np.eye(4), c1.T @ c2 / n
    t = np.linalg.inv(sqrtm(s11)) @ s12 @ np.linalg.inv(sqrtm(s22))
    expected = -np.linalg.svd(t, compute_uv=False).sum()
    np.testing.assert_allclose(canonical_correlation(z1, z2, regularization=0.3), expected, rtol=1e-5)


def test_a_linear_map_of_a_view_changes_nothing():
    z1, z2 = two_views()
    mixed = z1 @ np.random.default_rng(5).normal(size=(5, 5)) + 3.0
    np.testing.assert_allclose(
        canonical_correlation(mixed, z2, regularization=1e-6),
        canonical_correlation(z1, z2, regularization=1e-6),
        rtol=1e-3,
    )
    np.testing.assert_allclose(canonical_correlation(z1, z1, regularization=1e-6), -5.0, rtol=1e-3)


@pytest.mark.full
def test_equal_eigenvalues_have_an_exact_gradient():
    # Columns of a Hadamard matrix: S11 is a multiple of the identity, all its eigenvalues coincide.
    z1 = jnp.array(np.kron([[1, 1], [1, -1]], [[1, 1], [1, -1]])[:, 1:], jnp.float32)
    z2 = jnp.asarray(vectors(0, 4, 2))

    def loss(z1):
        return canonical_correlation(z1, z2, n_components=1, regularization=0.5)

    gradient, step = jax.grad(loss)(z1), 1e-2
    for i, j in [(0, 0), (2, 1)]:
        slope = (loss(z1.at[i, j].add(step)) - loss(z1.at[i, j].add(-step))) / (2 * step)
        np.testing.assert_allclose(gradient[i, j], slope, rtol=2e-2, atol=2e-4)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from jaxdc.cluster import pca_whiten


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(400, 8)) * 2.0 ** np.arange(8) @ rng.normal(size=(8, 8)) + 100.0).astype(np.float32)


def test_scikit_learn_agrees_up_to_sign(x):
    ours, oracle = pca_whiten(x, 4), PCA(4, whiten=True).fit(x.astype(np.float64))
    sign = np.sign(np.sum(np.asarray(ours.components) * oracle.components_, axis=1))
    np.testing.assert_allclose(np.asarray(ours.whitened) * sign, oracle.transform(x), atol=2e-3)
    np.testing.assert_allclose(np.asarray(ours.components) * sign[:, None], oracle.components_, atol=1e-3)
    np.testing.assert_allclose(ours.variances, oracle.explained_variance_, rtol=1e-3)
    np.testing.assert_allclose(ours.mean, oracle.mean_, rtol=1e-5)


def test_whitened_samples_have_unit_covariance_and_a_fixed_sign(x):
    result = pca_whiten(x, 4)
    np.testing.assert_allclose(np.cov(result.whitened.T), np.eye(4), atol=1e-3)
    largest = np.abs(result.components).argmax(1)
    assert (np.asarray(result.components)[np.arange(4), largest] > 0).all()


def test_other_samples_are_whitened_alike(x):
    result = pca_whiten(x, 4)
    np.testing.assert_allclose(result.transform(x), result.whitened, atol=1e-3)
    np.testing.assert_allclose(result.transform(x[:1]), result.whitened[:1], atol=1e-3)
    with pytest.raises(ValueError, match="x has 3 columns"):
        result.transform(jnp.ones((2, 3)))


def test_order_and_scale_of_the_samples_do_not_matter(x):
    order = np.random.default_rng(1).permutation(len(x))
    np.testing.assert_allclose(pca_whiten(4.0 * x[order], 3).whitened, pca_whiten(x, 3).whitened[order], atol=1e-3)


def test_any_number_of_devices_gives_the_same(x, on_devices):
    plain, sharded = pca_whiten(x, 4), pca_whiten(on_devices(x), 4)
    np.testing.assert_allclose(plain.whitened, sharded.whitened, atol=1e-3)
    np.testing.assert_allclose(plain.variances, sharded.variances, rtol=1e-4)


def test_samples_stay_on_their_device(sharded_shape, largest_move):
    compiled = jax.jit(lambda x: pca_whiten(x, 4)).lower(sharded_shape(80_000, 32)).compile()
    assert largest_move(compiled) <= 256 * 32  # rows for the origin


def test_directions_without_variance_give_zeros():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(50, 1)), 3, axis=1).astype(np.float32)
    result = pca_whiten(x, 3)
    np.testing.assert_array_equal(result.whitened[:, 1:], 0.0)
    np.testing.assert_allclose(np.std(result.whitened[:, 0], ddof=1), 1.0, rtol=1e-4)
    np.testing.assert_array_equal(pca_whiten(jnp.full((4, 2), 0.1), 2).whitened, 0.0)
    assert np.isfinite(pca_whiten(rng.normal(size=(3, 9)), 3).whitened).all()


def test_narrow_numbers_are_computed_in_float32(x):
    assert pca_whiten(jnp.asarray(x, jnp.bfloat16), 2).whitened.dtype == jnp.float32


@pytest.mark.parametrize(
    ("x", "n_components", "word"),
    [
        (jnp.ones(3), 1, "x must be a matrix"),
        (jnp.ones((1, 3)), 1, "x must have at least two samples"),
        (jnp.ones((5, 3)), 0, "n_components"),
        (jnp.ones((5, 3)), 4, "n_components must be from 1 to 3"),
        (jnp.ones((2, 3)), 3, "n_components must be from 1 to 2"),
    ],
)
def test_wrong_arguments_are_named(x, n_components, word):
    with pytest.raises(ValueError, match=word):
        pca_whiten(x, n_components)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import nn

X = np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]], np.float32)


def test_training_by_hand():
    norm = nn.BatchNorm(2)
    norm.scale[...], norm.bias[...] = jnp.array([2.0, 1.0]), jnp.array([0.0, 3.0])
    y = norm(jnp.asarray(X), train=True)
    # Means 3 and 20; biased variances 8/3 and 200; unbiased 4 and 300.
    expected = (X - [[3, 20]]) / np.sqrt([[8 / 3 + 1e-5, 200 + 1e-5]]) * [[2, 1]] + [[0, 3]]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.mean[...], [0.3, 2.0], rtol=1e-6)
    np.testing.assert_allclose(norm.var[...], [0.9 + 0.4, 0.9 + 30], rtol=1e-6)
    expected = (X - [[0.3, 2.0]]) / np.sqrt([[1.3, 30.9]]) * [[2, 1]] + [[0, 3]]
    np.testing.assert_allclose(norm(jnp.asarray(X)), expected, rtol=1e-4)


def test_a_large_mean_does_not_cancel_the_variance():
    # 1000 +- 0.01: of the squares' float32 sums nothing of the variance is left.
    x = (1000 + 0.01 * np.random.default_rng(0).normal(size=(4096, 3))).astype(np.float32)
    norm = nn.BatchNorm(3)
    norm.mean[...] = jnp.full(3, 999.9)
    y = np.asarray(norm(jnp.asarray(x), train=True))
    expected = (x - x.mean(0, np.float64)[None]) / np.sqrt(x.var(0, dtype=np.float64) + 1e-5)[None]
    np.testing.assert_allclose(y, expected, atol=0.02)


def test_bfloat16_comes_back_as_such_and_leaves_the_statistics_alone():
    norm = nn.BatchNorm(2)
    norm.mean[...], norm.var[...] = jnp.array([1.001, 2.003]), jnp.array([1.0, 1.0])
    y = norm(jnp.array([[1.0, 2.0]], jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    # A mean rounded to bfloat16 would be 1 and 2, and the result 0.
    np.testing.assert_allclose(y.astype(jnp.float32), [[-0.001, -0.003]], rtol=0.01)


def test_gradient_goes_through_the_statistics():
    def loss(x):
        return jnp.sum(jnp.sin(nn.BatchNorm(2)(x, train=True)))

    x, e = jnp.asarray(X), 1e-2
    numeric = [(loss(x.at[i, 0].add(e)) - loss(x.at[i, 0].add(-e))) / (2 * e) for i in range(3)]
    np.testing.assert_allclose(jax.grad(loss)(x)[:, 0], numeric, rtol=0.02, atol=1e-3)
    # Moving all samples alike changes nothing.
    np.testing.assert_allclose(jax.grad(loss)(x).sum(0), 0.0, atol=1e-5)


@pytest.mark.parametrize("zero", [False, True])
def test_the_start(zero):
    norm = nn.BatchNorm(2, use_bias=False, zero_init=zero)
    assert norm.bias is None
    np.testing.assert_array_equal(norm.scale[...], 0.0 if zero else 1.0)
    y = norm(jnp.asarray(X), train=True)
    np.testing.assert_allclose(y.mean(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(y.std(0), 0.0 if zero else 1.0, rtol=1e-4, atol=1e-6)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import nn
from jaxdc.distributed import sharding
from jaxdc.errors import InputError

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


def plain(x, scale, bias, residual, relu):
    """The formula, for JAX to differentiate."""
    axes = tuple(range(x.ndim - 1))
    y = (x - jnp.mean(x, axes, keepdims=True)) / jnp.sqrt(jnp.var(x, axes, keepdims=True) + 1e-5)
    y = y * scale.reshape((1,) * (x.ndim - 1) + (-1,)) + bias.reshape((1,) * (x.ndim - 1) + (-1,))
    y = y if residual is None else y + residual
    return jax.nn.relu(y) if relu else y


def batch(b=16, residual=True):
    rng = np.random.default_rng(0)
    x, r, w = (jnp.asarray(rng.normal(size=(b, 3, 3, 4)), jnp.float32) for _ in range(3))
    scale, bias = (jnp.asarray(rng.normal(size=4), jnp.float32) for _ in range(2))
    return 3 * x + 2, scale, bias, r if residual else None, w


def ours(groups=1, **settings):
    """The output of a norm as a function of its inputs and parameters."""

    def call(x, scale, bias, residual):
        norm = nn.BatchNorm(x.shape[-1], groups=groups)
        norm.scale[...], norm.bias[...] = scale, bias
        return norm(x, train=True, residual=residual, **settings)

    return call


def gradients(function, x, scale, bias, residual, w):
    """Of the weighted sum of the output: with respect to samples, scale, shift and residual."""
    wrt = (0, 1, 2) if residual is None else (0, 1, 2, 3)
    return jax.jit(jax.grad(lambda *inputs: jnp.sum(function(*inputs) * w), wrt))(x, scale, bias, residual)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_the_gradient_is_that_of_the_formula(relu, residual, one_device):
    *inputs, w = batch(residual=residual)
    expected = gradients(lambda *i: plain(*i, relu), *inputs, w)
    np.testing.assert_allclose(ours(relu=relu)(*inputs), plain(*inputs, relu), rtol=1e-5, atol=1e-5)
    found = gradients(ours(relu=relu), *inputs, w)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * float(jnp.abs(other).max()))
    # So it is on eight devices, by the statistics of all of them.
    sharded = jax.device_put((inputs[0], inputs[3], w), sharding.by_sample(sharding.make_mesh()))
    found = gradients(ours(relu=relu), sharded[0], inputs[1], inputs[2], *sharded[1:])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * float(jnp.abs(other).max()))


def test_gradients_in_bfloat16_are_near_those_in_float32():
    *inputs, w = batch()
    expected = gradients(ours(relu=True), *inputs, w)
    low = [jnp.asarray(inputs[0], jnp.bfloat16), *inputs[1:3], jnp.asarray(inputs[3], jnp.bfloat16)]
    found = gradients(ours(relu=True), *low, w)
    assert [g.dtype for g in found] == [jnp.bfloat16, jnp.float32, jnp.float32, jnp.bfloat16]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.astype(jnp.float32), other, atol=0.03 * float(jnp.abs(other).max()))


@pytest.mark.parametrize("train", [False, True])
def test_a_residual_and_a_relu_are_the_last_operations(train):
    x, _, _, residual, _ = batch()
    of_parts, whole = nn.BatchNorm(4), nn.BatchNorm(4)
    expected = jax.nn.relu(of_parts(x, train=train) + residual)
    np.testing.assert_allclose(whole(x, train=train, residual=residual, relu=True), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(whole.var[...], of_parts.var[...], rtol=1e-6)


def test_groups_are_separate_normalisations(one_device):
    *inputs, w = batch()
    found = ours(groups=4, relu=True)(*inputs)
    found_gradients = gradients(ours(groups=4, relu=True), *inputs, w)
    parts = [(inputs[0][i : i + 4], *inputs[1:3], inputs[3][i : i + 4]) for i in range(0, 16, 4)]
    np.testing.assert_allclose(found, np.concatenate([ours(relu=True)(*p) for p in parts]), rtol=1e-5, atol=1e-6)
    assert np.abs(found - ours(relu=True)(*inputs)).max() > 0.1
    each = [gradients(ours(relu=True), *p, w[i : i + 4]) for i, p in zip(range(0, 16, 4), parts, strict=True)]
    for i, combine in enumerate((np.concatenate, sum, sum, np.concatenate)):
        np.testing.assert_allclose(found_gradients[i], combine([g[i] for g in each]), rtol=1e-5, atol=1e-5)
    # The running statistics get the average of theirs.
    norm, of_part = nn.BatchNorm(4, groups=4), [nn.BatchNorm(4) for _ in parts]
    norm(inputs[0], train=True)
    for one, part in zip(of_part, parts, strict=True):
        one(part[0], train=True)
    for name in ("mean", "var"):
        expected = np.mean([getattr(one, name)[...] for one in of_part], 0)
        np.testing.assert_allclose(getattr(norm, name)[...], expected, rtol=1e-5)
    with pytest.raises(InputError, match="a batch of 16 can't be normalised in 3 groups"):
        ours(groups=3)(*inputs)


def test_with_a_group_for_each_device_nothing_is_exchanged():
    *inputs, _ = batch()
    by_sample = sharding.by_sample(sharding.make_mesh())
    x, residual = jax.device_put((inputs[0], inputs[3]), by_sample)

    def text(groups):
        function = jax.jit(ours(groups=groups, relu=True), out_shardings=by_sample)
        return function.lower(x, *inputs[1:3], residual).compile().as_text()

    assert "all-reduce" in text(1)
    assert not any(word in text(8) for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute"))

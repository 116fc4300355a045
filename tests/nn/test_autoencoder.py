import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import nn


def test_mlp_is_linear_at_the_end_and_relu_between():
    mlp = nn.MLP((3, 4, 2), rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    first, last = mlp.layers
    hidden = np.maximum(x @ first.kernel[...] + np.asarray(first.bias[...])[None], 0)
    expected = hidden @ last.kernel[...] + np.asarray(last.bias[...])[None]
    np.testing.assert_allclose(mlp(x), expected, rtol=1e-5, atol=1e-6)
    assert (np.asarray(mlp(x)) < 0).any()
    np.testing.assert_allclose(mlp.apply(x, 0, 1), hidden, rtol=1e-5, atol=1e-6)


def test_initial_weights():
    wide = nn.MLP((1000, 800), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(wide.layers[0].kernel[...].std(), np.sqrt(1 / 3000), rtol=0.02)
    paper = nn.MLP((1000, 800), weight_std=0.01, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(paper.layers[0].kernel[...].std(), 0.01, rtol=0.02)


def test_encoder_brings_samples_to_unit_mean_square():
    x = 7.0 * jnp.ones((2, 4, 4, 1))
    encoder = nn.Encoder((4, 4, 1), (8,), 3, rms=7.0, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(encoder.flatten(x), 1.0, rtol=1e-6)
    assert encoder(x).shape == (2, 3)
    assert "scale" not in nnx.state(encoder, nnx.Param)


def test_an_offset_comes_before_the_scale():
    x = jnp.array([[0.25, 0.5], [0.75, 0.5]])
    encoder = nn.Encoder((2,), (8,), 3, rms=0.25, offset=0.5, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(encoder.flatten(x), [[-1, 0], [1, 0]], rtol=1e-6)


def test_blank_data_do_not_divide_by_zero():
    encoder = nn.Encoder((4,), (8,), 3, rms=0.0, rngs=nnx.Rngs(0))
    assert np.isfinite(encoder(jnp.zeros((2, 4)))).all()

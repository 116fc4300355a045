import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxdc import nn


def conv_by_hand(x, kernel, bias):
    """Stride 2, kernel 3, the picture padded as XLA's "SAME" does."""
    (_, h, w, _), n_out = x.shape, kernel.shape[-1]
    out = ((h + 1) // 2, (w + 1) // 2)
    padding = [max(2 * (o - 1) + 3 - size, 0) for o, size in zip(out, (h, w), strict=True)]
    padded = np.pad(x, ((0, 0), *((p // 2, p - p // 2) for p in padding), (0, 0)))
    y = np.zeros((len(x), *out, n_out))
    for i in range(out[0]):
        for j in range(out[1]):
            patch = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            y[:, i, j] = np.einsum("bhwc,hwco->bo", patch, kernel) + bias
    return y


def test_the_encoder_by_hand():
    encoder = nn.ConvEncoder((6, 5, 2), (3, 4), 7, rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 2)).astype(np.float32)
    y = x
    for layer in encoder.layers:
        layer.bias[...] = jnp.arange(layer.bias[...].size) / 10
        y = np.maximum(conv_by_hand(y, np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])), 0)
    assert y.shape == (2, 2, 2, 4)
    expected = y.reshape(2, -1) @ np.asarray(encoder.code.kernel[...])
    np.testing.assert_allclose(encoder(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(encoder(x.reshape(2, -1)), encoder(x))


@pytest.mark.parametrize("shape", [(16, 15, 1), (7, 5, 3), (1, 1, 2)])
@pytest.mark.parametrize("widths", [(4,), (4, 6, 8)])
def test_the_decoder_gives_back_the_shape(shape, widths):
    def there_and_back() -> tuple[jax.Array, jax.Array]:
        encoder = nn.ConvEncoder(shape, widths, 5, rngs=nnx.Rngs(0))
        decoder = nn.ConvDecoder(shape, widths, 5, rngs=nnx.Rngs(1))
        z = encoder(jnp.ones((3, *shape)))
        return z, decoder(z)

    z, x = jax.eval_shape(there_and_back)
    assert z.shape == (3, 5)
    assert x.shape == (3, *shape)


def test_what_leaves_the_decoder_may_be_negative():
    decoder = nn.ConvDecoder((8, 8, 1), (4, 6), 5, rngs=nnx.Rngs(0))
    pictures = np.asarray(decoder(jax.random.normal(jax.random.key(0), (50, 5))))
    assert pictures.min() < 0 < pictures.max()


@pytest.mark.full
def test_it_learns_to_reconstruct(digits):
    x = jnp.asarray(digits.array[:128], jnp.float32) / 128 - 1

    class Both(nnx.Module):
        def __init__(self, rngs):
            self.encoder = nn.ConvEncoder((8, 8, 1), (8, 16), 10, rngs=rngs)
            self.decoder = nn.ConvDecoder((8, 8, 1), (8, 16), 10, rngs=rngs)

    graphdef, params = nnx.split(Both(nnx.Rngs(0)))
    tx = optax.adam(1e-2)

    @jax.jit
    def step(params, state):
        def loss(params):
            model = nnx.merge(graphdef, params)
            return jnp.mean((model.decoder(model.encoder(x)) - x) ** 2)

        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = tx.update(gradients, state)
        return optax.apply_updates(params, updates), state, value

    state, values = tx.init(params), []
    for _ in range(80):
        params, state, value = step(params, state)
        values.append(float(value))
    assert values[-1] < 0.5 * float(jnp.mean((x - x.mean(0, keepdims=True)) ** 2))

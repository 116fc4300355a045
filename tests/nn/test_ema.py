import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import nn


def test_by_hand():
    old, new = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(4.0)}, {"w": jnp.array([3.0, 2.0]), "b": jnp.array(0.0)}
    result = nn.ema(old, new, 0.75)
    np.testing.assert_allclose(result["w"], [1.5, 2.0])
    np.testing.assert_allclose(result["b"], 3.0)
    np.testing.assert_allclose(jax.jit(nn.ema)(old, new, jnp.float32(0.75))["w"], [1.5, 2.0])


def test_equal_values_stay_to_the_bit():
    x = jax.random.normal(jax.random.key(0), (1000,))
    np.testing.assert_array_equal(nn.ema(x, jnp.copy(x), 0.996), x)


def test_the_arithmetic_is_float32():
    old, new = jnp.ones(3, jnp.bfloat16), jnp.full(3, 1.5, jnp.bfloat16)
    result = nn.ema(old, new, 0.98)
    assert result.dtype == jnp.bfloat16
    np.testing.assert_array_equal(result, jnp.float32(1.01).astype(jnp.bfloat16))
    half = nn.ema(jnp.zeros(3), new, 1 - 2**-12)
    np.testing.assert_allclose(half, 1.5 * 2**-12, rtol=1e-6)  # in bfloat16 the momentum would be 1


def test_no_gradient_flows():
    gradients = jax.grad(lambda a, b: jnp.sum(nn.ema(a, b, 0.5)), argnums=(0, 1))(jnp.ones(2), jnp.ones(2))
    np.testing.assert_array_equal(gradients, np.zeros((2, 2)))


def test_a_momentum_encoder_has_its_own_batch_statistics():
    online = nn.ProjectionHead(4, 6, 3, batch_norm=True, rngs=nnx.Rngs(0))
    graphdef, params, statistics = nnx.split(online, nnx.Param, ...)
    aux = jax.tree.map(jnp.copy, {"params": params, "statistics": statistics})
    rng = np.random.default_rng(0)
    view1, view2 = (jnp.asarray(rng.normal(loc, 1.0, (8, 4)), jnp.float32) for loc in (0.0, 5.0))

    @jax.jit
    def step(params, statistics, aux):
        model = nnx.merge(graphdef, params, statistics, copy=True)
        model(view1, train=True)
        _, params, own = nnx.split(model, nnx.Param, ...)
        average = nn.ema(aux["params"], params, 0.9)
        momentum_encoder = nnx.merge(graphdef, average, aux["statistics"], copy=True)
        momentum_encoder(view2, train=True)
        return own, {"params": average, "statistics": nnx.state(momentum_encoder, nnx.Not(nnx.Param))}

    moved = jax.tree.map(lambda p: p + 1.0, params)
    own, new = step(moved, statistics, aux)
    # Its parameters take a tenth of the step ...
    for old, average in zip(jax.tree.leaves(params), jax.tree.leaves(new["params"]), strict=True):
        np.testing.assert_allclose(average, old + 0.1, rtol=1e-5, atol=1e-6)
    # ... its statistics are neither the online ones nor an average of them, but of what it saw itself.
    kernel = np.asarray(new["params"]["layers"][0]["kernel"][...])
    expected = 0.1 * (np.asarray(view2) @ kernel).mean(0)
    np.testing.assert_allclose(new["statistics"]["norms"][0]["mean"][...], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(np.asarray(own["norms"][0]["mean"][...]) - expected).max() > 0.1
    assert jax.tree.structure(new) == jax.tree.structure(aux)

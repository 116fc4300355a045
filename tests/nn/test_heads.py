import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import nn

FEATURES = np.random.default_rng(0).normal(size=(32, 16)).astype(np.float32)


def affine(layer, x):
    return x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])[None]


@pytest.mark.parametrize("kind", [nn.ProjectionHead, nn.ClusterHead])
def test_two_linear_layers_with_a_relu_between(kind):
    head = kind(16, 12, 5, rngs=nnx.Rngs(0))
    first, last = (head.mlp if kind is nn.ClusterHead else head).layers
    expected = affine(last, np.maximum(affine(first, FEATURES), 0))
    np.testing.assert_allclose(head(FEATURES), expected, rtol=1e-4, atol=1e-5)
    assert np.asarray(head(FEATURES)).min() < 0


@pytest.mark.parametrize("kind", [nn.ProjectionHead, nn.ClusterHead])
def test_without_a_hidden_layer_it_is_linear(kind):
    head = kind(16, None, 5, rngs=nnx.Rngs(0))
    (layer,) = (head.mlp if kind is nn.ClusterHead else head).layers
    np.testing.assert_allclose(head(FEATURES), affine(layer, FEATURES), rtol=1e-4, atol=1e-5)


def test_initial_weights_are_torch_s():
    first = nn.ProjectionHead(400, 600, 8, rngs=nnx.Rngs(0)).layers[0]
    for values in (np.asarray(first.kernel[...]), np.asarray(first.bias[...])):
        assert 0.98 / 20 < np.abs(values).max() <= 1 / 20
        np.testing.assert_allclose(values.std(), 1 / 20 / np.sqrt(3), rtol=0.05)


def test_batch_norm_follows_every_linear_layer():
    head = nn.ProjectionHead(16, 12, 5, batch_norm=True, rngs=nnx.Rngs(0))
    assert all(layer.bias is None for layer in head.layers)
    assert head.norms[0].bias is not None
    assert head.norms[1].bias is None
    z = head(FEATURES, train=True)
    np.testing.assert_allclose(z.mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1.0, rtol=1e-2)
    # In evaluation it uses the running statistics, which have moved a tenth of the way.
    y = np.maximum(head.norms[0](FEATURES @ head.layers[0].kernel[...]), 0)
    np.testing.assert_allclose(head(FEATURES), head.norms[1](y @ head.layers[1].kernel[...]), rtol=1e-4, atol=1e-5)
    assert (np.asarray(head.norms[1].var[...]) != 1).all()
    plain = nn.ProjectionHead(16, 12, 5, rngs=nnx.Rngs(0))
    assert not jax.tree.leaves(nnx.state(plain, nnx.BatchStat))


def test_the_last_layer_may_go_without_batch_norm():
    head = nn.ProjectionHead(16, 12, 5, batch_norm=True, norm_last=False, rngs=nnx.Rngs(0))
    (norm,) = head.norms
    assert norm.bias is not None and head.layers[0].bias is None
    y = FEATURES @ np.asarray(head.layers[0].kernel[...])
    y = np.maximum((y - y.mean(axis=0)) / np.sqrt(y.var(axis=0) + 1e-5), 0)
    np.testing.assert_allclose(head(FEATURES, train=True), affine(head.layers[1], y), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [nn.ProjectionHead, nn.ClusterHead])
def test_mixed_precision(kind):
    full, mixed = kind(16, 12, 5, rngs=nnx.Rngs(0)), kind(16, 12, 5, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(mixed))} == {jnp.dtype("float32")}
    z = mixed(FEATURES)
    assert z.dtype == jnp.float32
    assert 1e-5 < np.abs(z - full(FEATURES)).max() < 0.05
    # The products are summed in float32: their result is not rounded to bfloat16.
    assert (z != z.astype(jnp.bfloat16).astype(jnp.float32)).any()


def test_several_heads_at_once_are_as_many_linear_layers():
    heads = nn.ClusterHeads(16, 3, 5, rngs=nnx.Rngs(0))
    heads.bias[...] = jnp.arange(15, dtype=jnp.float32).reshape(3, 1, 5)
    kernel, bias = np.asarray(heads.kernel[...]), np.asarray(heads.bias[...])
    expected = np.stack([FEATURES @ kernel[i] + bias[i] for i in range(3)])
    np.testing.assert_allclose(heads(FEATURES), expected, rtol=1e-4, atol=1e-5)
    assert 0.008 < kernel.std() < 0.012

"""ResNet against a network written out in NumPy, and what the training loop relies on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import nn
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.nn import resnet


def conv(x, w, stride):
    """Cross-correlation tap by tap; ``size // 2`` zeros on every side."""
    size = w.shape[0]
    p = size // 2
    x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    h, v = [(n - size) // stride + 1 for n in x.shape[1:3]]
    return sum(
        x[:, i : i + stride * (h - 1) + 1 : stride, j : j + stride * (v - 1) + 1 : stride] @ w[i, j]
        for i in range(size)
        for j in range(size)
    )


def max_pool(x, size):
    """Of stride 2, with one pixel of minus infinity on every side."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    h, v = [(n - size) // 2 + 1 for n in x.shape[1:3]]
    taps = [x[:, i : i + 2 * h - 1 : 2, j : j + 2 * v - 1 : 2] for i in range(size) for j in range(size)]
    return np.max(taps, axis=0)


def conv_norm(layer, x, stride, train):
    x = conv(x, np.asarray(layer.conv.kernel[...], np.float64), stride)
    norm = layer.norm
    mean, var = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if train else (norm.mean[...], norm.var[...])
    scale = np.asarray(norm.scale[...], np.float64)
    return (x - np.asarray(mean)[None]) / np.sqrt(np.asarray(var) + 1e-5)[None] * scale[None] + np.asarray(
        norm.bias[...]
    )[None]


FEWER = {18: (1, 2, 1, 1), 50: (2, 1, 1, 1)}  # blocks, where the whole depth only costs compilation


def by_hand(model, depth, stem, x, train):
    """torchvision's ResNet without its last layer, in double precision."""
    relu = lambda x: np.maximum(x, 0)  # noqa: E731
    x = relu(conv_norm(model.first, np.asarray(x, np.float64), 2 if stem == "imagenet" else 1, train))
    x = {"cifar": lambda x: x, "stl": lambda x: max_pool(x, 2), "imagenet": lambda x: max_pool(x, 3)}[stem](x)
    blocks = iter(model.blocks)
    for stage, n in enumerate(FEWER[depth]):
        for i in range(n):
            stride, block = (2 if stage and not i else 1), next(blocks)
            strides = [1, stride, 1] if depth == 50 else [stride, 1]
            y = x
            for layer, s in zip(block.layers, strides, strict=True):
                y = conv_norm(layer, y if layer is block.layers[0] else relu(y), s, train)
            if i == 0 and (stage or depth == 50):
                x = conv_norm(block.shortcut, x, stride, train)
            else:
                assert block.shortcut is None
            x = relu(x + y)
    assert next(blocks, None) is None
    return x.mean((1, 2))


def small(depth=18, *, seed=0, **settings):
    """A narrow, shallow network whose scales, shifts and running statistics are not those of the start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "BLOCKS", FEWER)
        model = nn.ResNet(depth, **{"width": 8, "rngs": nnx.Rngs(seed), **settings})
    rng = np.random.default_rng(seed)
    for _, norm in nnx.iter_modules(model):
        if isinstance(norm, nn.BatchNorm):
            for variable, low, high in [(norm.scale, 0.5, 1.5), (norm.bias, -0.5, 0.5), (norm.mean, -0.5, 0.5)]:
                variable[...] = jnp.asarray(rng.uniform(low, high, variable.shape), jnp.float32)
            norm.var[...] = jnp.asarray(rng.uniform(0.5, 2.0, norm.var.shape), jnp.float32)
    return model


def images(b=4, size=16, seed=0, channels=3):
    return np.random.default_rng(seed).uniform(size=(b, size, size, channels)).astype(np.float32)


def apply(model, x, *, train=False):
    """(features, the batch statistics after it), compiled once for all blocks."""

    run, state = compiled(model, train)
    return run(state, x)


def compiled(model, train):
    graphdef, state = nnx.split(model)

    def run(state, x):
        merged = nnx.merge(graphdef, state, copy=True)
        return merged(x, train=train), nnx.state(merged, nnx.BatchStat)

    return jax.jit(run), state


@pytest.mark.parametrize(
    ("depth", "stem", "size"),
    [(18, "stl", 21), pytest.param(18, "imagenet", 37, marks=pytest.mark.full), (50, "cifar", 16)],
)
def test_it_computes_what_torchvision_s_does(depth, stem, size):
    model, x = small(depth, stem=stem), images(3, size)
    expected = by_hand(model, depth, stem, x, train=False)
    assert expected.shape == (3, model.n_features)
    np.testing.assert_allclose(apply(model, x)[0], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_in_training_it_normalises_by_the_batch():
    model, x = small(), images(8, 16)
    expected = by_hand(model, 18, "cifar", x, train=True)
    np.testing.assert_allclose(apply(model, x, train=True)[0], expected, rtol=1e-3, atol=1e-3)
    assert np.abs(expected - by_hand(model, 18, "cifar", x, train=False)).max() > 0.1


@pytest.mark.parametrize(("depth", "n"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_it_has_torchvision_s_number_of_parameters(depth, n):
    model = nnx.eval_shape(lambda: nn.ResNet(depth, stem="imagenet", rngs=nnx.Rngs(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    assert count + model.n_features * 1000 + 1000 == n  # with torchvision's last layer
    assert model.n_features == (2048 if depth == 50 else 512)
    small_stem = nnx.eval_shape(lambda: nn.ResNet(depth, rngs=nnx.Rngs(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(small_stem, nnx.Param))) == count - 64 * 3 * 40


@pytest.mark.parametrize(("stem", "size", "positions"), [("cifar", 32, 4), ("stl", 96, 7), ("imagenet", 224, 7)])
def test_positions_at_the_end(stem, size, positions):
    def last_map():
        model = nn.ResNet(18, stem=stem, width=8, rngs=nnx.Rngs(0))
        shapes = []
        whole = type(model.blocks[-1]).__call__
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                type(model.blocks[-1]), "__call__", lambda *a: shapes.append((y := whole(*a)).shape) or y
            )
            model(jnp.zeros((2, size, size, 3)))
        assert shapes[-1] == (2, positions, positions, 64)
        return jnp.zeros(())

    jax.eval_shape(last_map)


def test_initial_weights():
    model = nn.ResNet(18, width=8, rngs=nnx.Rngs(0))
    for layer in (model.blocks[6].layers[0], model.blocks[7].layers[1], model.blocks[6].shortcut):
        kernel = np.asarray(layer.conv.kernel[...])
        fan_out = kernel.shape[0] * kernel.shape[1] * kernel.shape[3]
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / fan_out), rtol=0.06)
        assert np.abs(kernel).max() > 2.5 * kernel.std()  # neither uniform nor cut off
    assert all(np.all(block.layers[-1].norm.scale[...] == 1) for block in model.blocks)
    # No two kernels are cut from the same numbers, and another key gives others.
    kernels = [np.asarray(m.kernel[...]) for _, m in nnx.iter_modules(model) if isinstance(m, nnx.Conv)]
    assert len(kernels) == 20
    noise = np.concatenate([k.ravel() * np.sqrt(k.shape[0] * k.shape[1] * k.shape[3] / 2) for k in kernels])
    assert len(np.unique(noise)) > 0.97 * noise.size
    other = nn.ResNet(18, width=8, rngs=nnx.Rngs(1))
    assert (np.asarray(other.first.conv.kernel[...]) != np.asarray(model.first.conv.kernel[...])).all()


def test_with_zero_init_a_block_starts_as_the_identity():
    model = nn.ResNet(18, width=8, zero_init=True, rngs=nnx.Rngs(0))
    assert all(np.all(block.layers[-1].norm.scale[...] == 0) for block in model.blocks)
    assert all(np.all(block.layers[0].norm.scale[...] == 1) for block in model.blocks)
    x = jnp.asarray(images(2, 8, channels=8))
    np.testing.assert_array_equal(model.blocks[0](x, True), x)


def test_groups_of_a_batch_are_normalised_apart():
    x, backbone = images(4), nn.Backbone(depth=6, width=4, norm_groups=2)  # depth 6 is that of the tests
    model, plain = (b.make(32, 3, nnx.Rngs(0)) for b in (backbone, nn.Backbone(depth=6, width=4)))
    found, expected = apply(model, x, train=True)[0], [apply(plain, x[i : i + 2], train=True)[0] for i in (0, 2)]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-4, atol=1e-5)
    assert np.abs(found - apply(plain, x, train=True)[0]).max() > 1e-2
    with pytest.raises(InputError, match=r"backbone\.norm_groups must be at least 1, but is 0"):
        nn.Backbone(norm_groups=0)


def test_the_running_statistics_do_not_change_in_evaluation():
    model, x = small(), images()
    before = jax.tree.leaves(nnx.state(model, nnx.BatchStat))
    features, after = apply(model, x)
    for a, b in zip(before, jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(a, b)
    # And every image is embedded by itself.
    np.testing.assert_allclose(apply(model, x[1:2])[0], features[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("train", [False, True])
def test_mixed_precision_keeps_float32_state(train):
    x = images(16, 16)
    full, mixed = small(), small(dtype=jnp.bfloat16)
    expected, stats = apply(full, x, train=train)
    features, mixed_stats = apply(mixed, x, train=train)
    assert features.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((nnx.state(mixed), mixed_stats))} == {jnp.dtype("float32")}
    difference = np.abs(features - expected).max() / np.abs(expected).max()
    assert 1e-5 < difference < 0.1
    run, state = compiled(mixed, train)
    convolutions = [line for line in run.lower(state, x).as_text().splitlines() if "stablehlo.convolution" in line]
    assert len(convolutions) > 10
    assert all("xbf16>" in line and "xf32>" not in line for line in convolutions)
    for a, b in zip(jax.tree.leaves(stats), jax.tree.leaves(mixed_stats), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.1, atol=0.05)


def test_statistics_are_those_of_the_global_batch():
    model, x = small(), images(16, 8)
    expected, stats = apply(model, x, train=True)
    mesh = sharding.make_mesh(jax.devices()[:8])
    sharded = jax.device_put(x, sharding.by_sample(mesh))
    features, sharded_stats = apply(sharding_of(model, mesh), sharded, train=True)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)
    for a, b in zip(jax.tree.leaves(stats), jax.tree.leaves(sharded_stats), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def sharding_of(model, mesh):
    graphdef, state = nnx.split(model)
    return nnx.merge(graphdef, sharding.replicate(state, mesh))


def test_bad_settings_are_named():
    with pytest.raises(InputError, match="depth must be one of 10, 18, 34, 50, .*but is 20"):
        nn.ResNet(20, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match="stem must be one of cifar, stl, imagenet, but is 'mnist'"):
        nn.ResNet(18, stem="mnist", rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"images \[b, h, w, 3\], but its shape is \(2, 8, 8, 1\)"):
        small()(jnp.zeros((2, 8, 8, 1)))

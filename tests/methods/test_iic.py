"""IIC: its loss by hand and by NumPy, whose turn it is, the head that is kept, small batches."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import augment, fit, nn
from jaxdc.errors import InputError
from jaxdc.methods import IIC
from jaxdc.methods.base import DataSpec, Schedule
from jaxdc.methods.parts import heads

B, R, H, K = 6, 2, 2, 3
SPEC = DataSpec((8, 8, 1), 24)
METHOD = IIC(
    n_clusters=K, backbone=nn.Backbone(depth=10, width=4), repeats=R, n_heads=H, n_over_clusters=5, main_epochs=2
)
P = np.array([[0.9, 0.1], [0.1, 0.9]])
Q = np.array([[0.8, 0.2], [0.3, 0.7]])


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def negative_information(p, q, lamb=1.0):
    """Equation (3) in NumPy."""
    joint = p.T @ q
    joint = (joint + joint.T) / (2 * joint.sum())
    marginals = joint.sum(axis=1, keepdims=True) @ joint.sum(axis=0, keepdims=True)
    return -np.sum(joint * (np.log(joint) - lamb * np.log(marginals)))


@pytest.mark.parametrize(
    ("p", "q", "lamb", "expected"),
    [
        (P, Q, 1.0, -0.081569),
        (P, Q, 1.5, -0.773466),
        (np.eye(2), np.eye(2), 1.0, -0.693147),
        (np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]]), 1.0, 0.0),
    ],
)
def test_the_loss_of_a_head_by_hand(p, q, lamb, expected):
    method = dataclasses.replace(METHOD, n_clusters=2, entropy_weight=lamb)
    p, q = jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32)
    value, gradient = jax.value_and_grad(method.of_head)(p, q)
    np.testing.assert_allclose(value, expected, atol=1e-5)
    assert np.isfinite(gradient).all()


def batch(epoch=0):
    x = np.random.default_rng(0).random((B, *SPEC.shape), np.float32)
    steps = {"step": jnp.int32(epoch * 4), "epoch": jnp.int32(epoch)}
    return {"x": jnp.asarray(x), "index": jnp.arange(B), **steps}


@pytest.fixture(scope="module")
def start():
    """The network, with heads that are sure enough of something for differences to show."""
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    for i, part in enumerate((model.main, model.over)):
        part.kernel[...] = jax.random.normal(jax.random.key(10 + i), part.kernel.shape)
    return *nnx.split(model), aux


@pytest.fixture(scope="module")
def step(start):
    """Loss, new aux, metrics and gradient at an epoch, compiled once."""
    graphdef, state, aux = start
    params, rest = nnx.split_state(state, nnx.Param, ...)

    def of(params, data):
        model = nnx.merge(graphdef, params, rest, copy=True)
        return METHOD.loss(model, aux, data, jax.random.key(1))

    compiled = jax.jit(jax.value_and_grad(of, has_aux=True))
    return lambda epoch: compiled(params, batch(epoch))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.full
def test_one_step_is_that_of_numpy(start, step):
    graphdef, state, _ = start
    model = nnx.merge(graphdef, state, copy=True)
    views = jax.jit(METHOD.repeated_views)(jax.random.key(1), batch()["x"])
    encode = jax.jit(lambda state, x: nnx.merge(graphdef, state).encoder(x, train=True))
    features = np.asarray(encode(state, views), np.float64).reshape(B, 1 + R, -1)

    def per_head(kernel):
        probs = softmax(np.einsum("bvd,hdk->hbvk", features, kernel))
        pairs = [(p[:, 0], p[:, i]) for p in probs for i in range(1, 1 + R)]
        stacked = [
            tuple(np.concatenate(side) for side in zip(*pairs[h * R : (h + 1) * R], strict=True)) for h in range(H)
        ]
        return np.array([negative_information(p, q) for p, q in stacked])

    kernel = np.asarray(model.main.kernel[...], np.float64)
    expected, over = per_head(kernel), per_head(np.asarray(model.over.kernel[...], np.float64))
    (loss, (aux, metrics)), gradient = step(epoch=1)
    np.testing.assert_allclose(aux["losses"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["over"], over.mean(), rtol=1e-4)
    assert expected.mean() < -1e-3
    for place in [(0, 0, 0), (1, 3, 2), (1, 7, 1)]:
        bump = np.zeros_like(kernel)
        bump[place] = 1e-5
        slope = (per_head(kernel + bump).mean() - per_head(kernel - bump).mean()) / 2e-5
        np.testing.assert_allclose(gradient["main"]["kernel"][...][place], slope, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize(("epoch", "learning", "waiting"), [(0, "over", "main"), (1, "main", "over")])
def test_heads_take_turns_and_the_encoder_always_learns(step, epoch, learning, waiting):
    (loss, (aux, metrics)), gradient = step(epoch)
    largest = {
        name: max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient[name])) for name in gradient
    }
    assert largest[waiting] == 0
    assert largest[learning] > 1e-4
    assert largest["encoder"] > 1e-4
    assert loss == metrics[learning]
    assert bool(jnp.any(aux["losses"] != 0)) == (learning == "main")


def test_an_epoch_of_the_one_then_two_of_the_other(step):
    turns = [step(epoch)[0] for epoch in range(7)]
    names = ["main" if loss == metrics["main"] else "over" for loss, (_, metrics) in turns]
    assert names == ["over", "main", "main", "over", "main", "main", "over"]


@pytest.mark.full
def test_without_the_larger_heads_every_epoch_is_of_the_others(start):
    graphdef, state, aux = start
    alone = dataclasses.replace(METHOD, over_epochs=0)
    loss, (_, metrics) = alone.loss(nnx.merge(graphdef, state), aux, batch(0), jax.random.key(1))
    assert loss == metrics["main"]


def test_the_head_of_the_lowest_loss_is_kept_and_decides(start):
    graphdef, state, aux = start
    model = nnx.merge(graphdef, state)
    features = jax.random.normal(jax.random.key(5), (B, model.encoder.n_features))
    model, chosen = METHOD.refresh(model, {**aux, "losses": jnp.array([-1.0, -1.5])}, features, jax.random.key(2))
    assert int(chosen["head"]) == 1
    expected = jax.nn.softmax(features @ model.main.kernel[...][1], axis=1)
    np.testing.assert_allclose(METHOD.assign(model, chosen, features), expected, rtol=1e-4)
    # An interval in which only the others learnt says nothing.
    again = heads.choose(chosen)
    assert int(again["head"]) == 1
    np.testing.assert_array_equal(chosen["losses"], 0)


@pytest.mark.full
def test_a_pair_is_a_plain_view_and_a_perturbed_one_of_the_same_image():
    x = batch()["x"]
    views = METHOD.repeated_views(jax.random.key(3), x).reshape(B, 1 + R, *SPEC.shape)
    np.testing.assert_array_equal(views[:, 0], METHOD.plain(x))
    assert float(jnp.abs(views[:, 1] - views[:, 2]).max()) > 0.1
    whole = augment.Digits(crops=(1.0,), rotation_probability=0.0, jitter=(0.0, 0.0))
    still = dataclasses.replace(METHOD, digits=whole).repeated_views(jax.random.key(3), x)
    np.testing.assert_allclose(still, jnp.repeat(x, 1 + R, axis=0), atol=1e-5)


@pytest.mark.full
def test_handwriting_is_not_mirrored_and_colours_become_edges():
    assert isinstance(METHOD.preset(1), augment.Digits)
    assert isinstance(METHOD.preset(3), augment.Weak)
    assert isinstance(dataclasses.replace(METHOD, handwriting=False).preset(1), augment.Weak)
    x = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
    assert METHOD.plain(x).shape == (2, 8, 8, 2)
    assert dataclasses.replace(METHOD, sobel=False).plain(x).shape == (2, 8, 8, 3)
    colours = SPEC._replace(shape=(8, 8, 3))
    model, aux = METHOD.init(jax.random.key(0), colours)
    assert METHOD.embed(model, aux, {"x": x}).shape == (2, model.encoder.n_features)


def test_permutations_change_nothing():
    p, q = (jax.nn.softmax(3 * jax.random.normal(jax.random.key(i), (12, K))) for i in range(2))
    rows, columns = np.random.default_rng(0).permutation(12), np.array([2, 0, 1])
    expected = METHOD.of_head(p, q)
    np.testing.assert_allclose(METHOD.of_head(p[rows], q[rows]), expected, atol=1e-6)
    np.testing.assert_allclose(METHOD.of_head(p[:, columns], q[:, columns]), expected, atol=1e-6)


def test_a_batch_of_fewer_pairs_than_cells_is_refused(one_device):
    x = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 1), np.uint8)
    method = dataclasses.replace(METHOD, n_clusters=9)
    METHOD.check_batch_size(5, SPEC)
    with pytest.raises(InputError, match=r"40 pairs, fewer than the 81 cells .* use a batch size of 41 or more"):
        fit(method, x, schedule=Schedule(batch_size=20), devices=one_device)


def test_the_paper_recipe():
    (stage,) = METHOD.stages("paper", SPEC)
    assert (stage.epochs, stage.batch_size, stage.optimizer.learning_rate) == (6000, 220, 1e-4)
    (stage,) = IIC(n_clusters=10).stages("paper", SPEC)
    assert stage.method.backbone.depth == 34
    assert (stage.method.n_over, stage.method.n_heads) == (70, 5)


@pytest.mark.parametrize(
    ("k", "repeats", "batch_size", "enough"),
    [(10, 3, 220, True), (10, 5, 140, True), (10, 2, 128, False), (10, 2, 500, True), (10, 2, 480, False)],
)
def test_batches_too_small_for_the_joint_are_warned_of(k, repeats, batch_size, enough):
    # 220 x 3 and 140 x 5 pairs are the paper's, of CIFAR-10 and MNIST.
    method = dataclasses.replace(METHOD, n_clusters=k, repeats=repeats)
    text = method.batch_size_warning(batch_size, SPEC)
    assert (text is None) == enough
    if text is not None:
        assert f"{batch_size * repeats} pairs" in text and "1,000 pairs or more are advised" in text

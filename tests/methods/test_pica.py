"""PICA: its loss by hand, degenerate assignments, one step against NumPy, whose turn it is."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import nn
from jaxdc.errors import InputError
from jaxdc.methods import PICA
from jaxdc.methods.base import DataSpec

B, R, K = 6, 2, 3
SPEC = DataSpec((8, 8, 1), 24)
METHOD = PICA(n_clusters=K, backbone=nn.Backbone(depth=6, width=16), repeats=R, n_over_clusters=5)
P = np.array([[0.9, 0.1], [0.1, 0.9]])
Q = np.array([[0.8, 0.2], [0.3, 0.7]])
ONE = np.array([[1.0, 0.0], [1.0, 0.0]])


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize(("p", "q", "expected"), [(P, Q, 0.451255), (np.eye(2), np.eye(2), 0.313262)])
def test_the_loss_of_a_head_by_hand(p, q, expected):
    value = METHOD.of_head(jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32))
    np.testing.assert_allclose(value, expected, atol=1e-5)


def test_an_empty_cluster_leaves_loss_and_gradient_finite():
    # Cosines [[1, 0], [0, 0]]; all samples in one cluster of two are 2 ln 2 away from balance.
    p = jnp.asarray(ONE, jnp.float32)
    value, gradient = jax.value_and_grad(METHOD.of_head)(p, p)
    expected = (math.log(1 + math.exp(-1)) + math.log(2)) / 2 + 2 * math.log(2)
    np.testing.assert_allclose(value, expected, atol=1e-5)
    assert np.isfinite(gradient).all()


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def in_numpy(p, q):
    """Equations (6) and (9): [n, k] twice."""
    cosines = p.T @ q / np.outer(np.linalg.norm(p, axis=0), np.linalg.norm(q, axis=0))
    sizes = p.mean(axis=0)
    partition = -np.mean(np.log(np.diag(softmax(cosines))))
    return partition + 2 * (math.log(len(sizes)) + np.sum(sizes * np.log(sizes)))


@pytest.mark.parametrize(
    ("epoch", "learning"),
    [
        (1, "main"),
        *(pytest.param(*turn, marks=pytest.mark.full) for turn in ((0, "over"), (2, "over"), (3, "main"))),
    ],
)
def test_a_step_is_that_of_numpy_for_the_heads_whose_turn_it_is(epoch, learning):
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    for i, part in enumerate((model.main, model.over)):
        part.kernel[...] = jax.random.normal(jax.random.key(10 + i), part.kernel.shape)
    x = jnp.asarray(np.random.default_rng(0).random((B, *SPEC.shape), np.float32))
    graphdef, state = nnx.split(model)

    @jax.jit
    def encode(state, x):
        model = nnx.merge(graphdef, state, copy=True)
        return model.encoder(METHOD.repeated_views(jax.random.key(1), x), train=True)

    features = encode(state, x)
    expected = {}
    for name, heads in (("main", model.main), ("over", model.over)):
        probs = softmax(np.einsum("bd,dk->bk", features, heads.kernel[...][0])).reshape(B, 1 + R, -1)
        plain, perturbed = np.repeat(probs[:, 0], R, axis=0), probs[:, 1:].reshape(B * R, -1)
        expected[name] = in_numpy(plain, perturbed)
    batch = {"x": x, "index": jnp.arange(B), "step": jnp.int32(0), "epoch": jnp.int32(epoch)}
    step = jax.jit(lambda state, batch: METHOD.loss(nnx.merge(graphdef, state), aux, batch, jax.random.key(1)))
    loss, (new, metrics) = step(state, batch)
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4)
    np.testing.assert_allclose(loss, expected[learning], rtol=1e-4)
    np.testing.assert_allclose(new["losses"], [expected["main"] if learning == "main" else 0.0], rtol=1e-4)


def test_the_paper_recipe():
    (stage,) = PICA(n_clusters=10).stages("paper", SPEC)
    assert (stage.epochs, stage.batch_size, stage.optimizer.learning_rate) == (400, 256, 1e-4)
    assert (stage.method.n_over, stage.method.n_heads, stage.method.repeats) == (70, 1, 3)
    assert stage.method.backbone.depth == 34


def test_a_batch_that_cannot_show_the_clusters_is_refused():
    METHOD.check_batch_size(K, SPEC)
    with pytest.raises(InputError, match="a batch of 2 images can't show 3 clusters"):
        METHOD.check_batch_size(2, SPEC)

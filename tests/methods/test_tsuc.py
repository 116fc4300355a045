"""TSUC: one step by other means, its prototypes and its choice of a head, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import softmax

from jaxdc import augment, fit, losses, methods, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Stage
from jaxdc.methods.parts import two_views

N, B, K = 40, 16, 3
SPEC = DataSpec((8, 8, 1), N)
METHOD = methods.TSUC(
    n_clusters=K, backbone=nn.Backbone(depth=6, width=16), projection=6, n_heads=4, spreading_weight=0.5
)
KEY = jax.random.key(5)


@pytest.mark.full
def test_one_step():
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    x = jax.random.uniform(jax.random.key(1), (B, 8, 8, 1))
    graphdef, state = nnx.split(model)
    copy = nnx.merge(graphdef, state, copy=True)
    z = np.asarray(copy(METHOD.views(KEY, x), train=True), np.float64)
    z1, z2 = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (z[::2], z[1::2]))
    information = []
    for prototypes in np.asarray(aux["prototypes"], np.float64):
        np.testing.assert_allclose(np.linalg.norm(prototypes, axis=1), 1.0, rtol=1e-5)
        p1, p2 = (softmax(part @ prototypes.T / 0.1, axis=1) for part in (z1, z2))
        joint = p1.T @ p2 / B
        joint = (joint + joint.T) / 2
        marginal = joint.sum(axis=1)
        information.append(-np.sum(joint * (np.log(joint) - np.log(np.outer(marginal, marginal)))))
    views, spreading = np.concatenate([z1, z2]), 0.0
    for i in range(2 * B):
        others = [j for j in range(2 * B) if j != i]
        p = softmax(views[others] @ views[i] / 0.1)
        is_other_view = np.array([j % B == i % B for j in others])
        spreading -= (np.log(p[is_other_view]).sum() + np.log1p(-p[~is_other_view]).sum()) / (2 * B)
    loss, (after, metrics) = METHOD.loss(model, aux, {"x": x, "index": jnp.arange(B)}, KEY)
    np.testing.assert_allclose(metrics["information"], np.mean(information), rtol=1e-3)
    np.testing.assert_allclose(metrics["spreading"], 0.5 * spreading, rtol=1e-4)
    np.testing.assert_allclose(loss, np.mean(information) + 0.5 * spreading, rtol=1e-4)
    np.testing.assert_allclose(after["losses"], information, rtol=1e-3)


def test_the_assignment_by_hand():
    prototypes = jnp.array([[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.6, 0.8]]])
    aux = {"prototypes": prototypes, "head": jnp.int32(1)}
    probs = METHOD.assign(None, aux, jnp.array([[1.0, 0.0]]))  # cosines 1 and 0.6, temperature 0.1
    np.testing.assert_allclose(probs, [[0.982014, 0.017986]], atol=1e-5)


@pytest.mark.full
def test_the_head_of_the_lowest_loss_is_kept_and_prototypes_never_move(one_device):
    aux = {"losses": jnp.array([-1.0, -2.0, -0.5, -1.5]), "head": jnp.int32(3), "prototypes": jnp.ones((4, K, 6))}
    _, chosen = METHOD.refresh(None, aux, None, None)
    assert int(chosen["head"]) == 1
    x = np.random.default_rng(0).integers(255, size=(N, 8, 8, 1), dtype=np.uint8)
    stage = Stage(method=METHOD, steps=3, batch_size=B)
    trained = fit(Experiment((stage,)), x, devices=one_device)._state.aux
    started = fit(Experiment((Stage(method=METHOD, steps=0),)), x, devices=one_device)._state.aux
    np.testing.assert_array_equal(trained["prototypes"], started["prototypes"])


def test_a_batch_that_can_not_show_the_clusters_is_refused(one_device):
    stage = Stage(method=METHOD, steps=1, batch_size=2)
    with pytest.raises(InputError, match="a batch of 2 images can't show 3 clusters"):
        fit(Experiment((stage,)), np.zeros((N, 8, 8, 1), np.uint8), devices=one_device)


def test_recipes():
    method = methods.TSUC(n_clusters=10)
    first, second = method.stages("paper", DataSpec((32, 32, 3), 50_000))
    assert (first.epochs, second.epochs) == (1000, 300)
    # The released rate falls at epochs 120, 160, ... and not yet at 80.
    np.testing.assert_allclose(300 * np.array(second.optimizer.decay_at), [120, 160, 200, 240, 280])
    assert isinstance(first.method, methods.IDFD)
    assert first.method.decorrelation == "none"
    assert isinstance(method.stages("fast", SPEC)[0].method.augmentation, augment.Digits)


@pytest.mark.full
def test_spreading_stays_finite_where_views_coincide():
    same = jnp.ones((4, 3))
    value, gradient = jax.value_and_grad(lambda z: jnp.mean(losses.invariant_spreading(z, same)))(same)
    np.testing.assert_allclose(value, np.log(7) - 6 * np.log(6 / 7), rtol=1e-5)
    assert np.isfinite(gradient).all()
    one = losses.invariant_spreading(same[:1], same[:1])
    np.testing.assert_allclose(one, 0.0, atol=1e-6)  # nothing else to be told from
    z1, z2 = two_views.apart(jax.random.normal(KEY, (16, 5)))
    order = jax.random.permutation(KEY, 8)
    np.testing.assert_allclose(
        losses.invariant_spreading(z1[order], z2[order]), losses.invariant_spreading(z1, z2)[order], rtol=1e-4
    )

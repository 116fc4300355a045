"""RotNet: turns by hand, one step, and SCAN after it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax
from sklearn.neighbors import NearestNeighbors

from jaxdc import fit, methods, nn
from jaxdc.augment import Strong, Weak
from jaxdc.errors import InputError
from jaxdc.methods import SCAN, RotNet
from jaxdc.methods.base import DataSpec, Experiment, Stage
from jaxdc.methods.rotnet import quarter_turns

NARROW = {"n_clusters": 3, "backbone": nn.Backbone(depth=6, width=16)}
SPEC = DataSpec((8, 8, 3), 40)


def test_quarter_turns():
    x = np.arange(2 * 3 * 3 * 2).reshape(2, 3, 3, 2)
    turned = np.asarray(quarter_turns(jnp.asarray(x, jnp.float32)))
    assert turned.shape == (8, 3, 3, 2)
    for i, image in enumerate(x):
        for j in range(4):  # the turns of an image are beside each other
            np.testing.assert_array_equal(turned[4 * i + j], np.rot90(image, j))


@pytest.mark.full
def test_one_step():
    method = RotNet(**NARROW)
    model, aux = method.init(jax.random.key(0), SPEC)
    x, key = jax.random.uniform(jax.random.key(1), (4, 8, 8, 3)), jax.random.key(2)
    graphdef, state = nnx.split(model)

    def compiled(state, x):
        model = nnx.merge(graphdef, state, copy=True)
        loss, (_, metrics) = method.loss(model, aux, {"x": x, "index": jnp.arange(4)}, key)
        views = method.augmentation(key, x)
        turned = jnp.concatenate([jnp.rot90(view[None], j, axes=(1, 2)) for view in views for j in range(4)])
        return loss, metrics, nnx.merge(graphdef, state, copy=True).encoder(turned, train=True)

    loss, metrics, features = jax.jit(compiled)(state, x)
    log_probs = log_softmax(np.asarray(model.head(features)), axis=1)
    labels = np.tile(np.arange(4), 4)
    np.testing.assert_allclose(loss, -log_probs[np.arange(16), labels].mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(log_probs.argmax(axis=1) == labels))


def test_images_that_are_not_square():
    with pytest.raises(InputError, match=r"must be square, but these are 8 x 6: set augmentation\.size"):
        RotNet(**NARROW).init(jax.random.key(0), DataSpec((8, 6, 3), 40))
    method = RotNet(**NARROW, augmentation=Weak(size=8))
    assert method.init(jax.random.key(0), DataSpec((10, 8, 3), 40))


@pytest.mark.full
def test_as_a_pretext_its_features_find_the_neighbours():
    views = Strong(n_ops=1, cutout=(1, 2))
    scan = SCAN(**NARROW, augmentation=views, pretext="rotnet", n_neighbors=4)
    stages = scan.stages("fast", SPEC)
    assert [type(stage.method) for stage in stages] == [RotNet, SCAN]
    assert stages[0].method.augmentation == views.of_pretext
    assert scan.stages("paper", SPEC)[0].epochs == 200
    model, aux = scan.init(jax.random.key(0), SPEC)
    assert not hasattr(model, "projector")
    features = jnp.asarray(np.random.default_rng(1).normal(size=(40, model.encoder.n_features)), jnp.float32)
    _, aux = scan.refresh(model, aux, features, jax.random.key(0))
    expected = NearestNeighbors(n_neighbors=5, metric="cosine").fit(features).kneighbors(features)[1]
    np.testing.assert_array_equal(np.sort(aux["neighbors"], axis=1), np.sort(expected, axis=1))
    assert methods.SelfLabel(**NARROW, pretext="rotnet").stages("fast", SPEC)[0].method == RotNet(
        **NARROW, augmentation=Strong().of_pretext
    )


@pytest.mark.full
def test_a_run_of_another_pretext_may_come_before(one_device, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, size=(40, 8, 8, 3)).astype(np.uint8)
    scan = SCAN(**NARROW, augmentation=Strong(n_ops=1, cutout=(1, 2)), pretext="rotnet", n_neighbors=4)
    simclr = methods.SimCLR(**NARROW, projection=5)
    fit(Experiment((Stage(method=simclr, steps=1, batch_size=8),)), x, workdir=tmp_path / "p", devices=one_device)
    after = Experiment((Stage(method=scan, steps=1, batch_size=8),))
    result = fit(after, x, init_from=tmp_path / "p", devices=one_device)
    assert result.labels.shape == (40,)

"""SwAV: a step by other means, frozen prototypes, the queue, small crops, what is refused."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import augment, fit, methods, nn
from jaxdc.errors import InputError
from jaxdc.losses import sinkhorn
from jaxdc.methods.base import DataSpec, Experiment, Stage
from jaxdc.methods.parts import two_views
from jaxdc.train.stage_run import Stopped

N, B, K = 20, 6, 3
SPEC = DataSpec((8, 8, 3), N)
SMALL = {"n_clusters": K, "backbone": nn.Backbone(depth=6, width=16), "projection": 5, "n_small": 2}
KEY = jax.random.key(7)


def started(method, epoch):
    model, aux = method.init(jax.random.key(0), SPEC)
    model.prototypes[...] *= 2.0  # of any length
    x = jax.random.uniform(jax.random.key(1), (B, *SPEC.shape))
    return model, aux, {"x": x, "index": jnp.arange(B), "epoch": jnp.int32(epoch), "step": jnp.int32(0)}


@functools.cache
def step_of(method):
    graphdef = nnx.graphdef(method.init(jax.random.key(0), SPEC)[0])

    @jax.jit
    def run(params, rest, aux, batch):
        def loss(params):
            return method.loss(nnx.merge(graphdef, params, rest, copy=True), aux, batch, KEY)

        (value, (new, _)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return value, new, gradient

    return run


def one_step(method, model, aux, batch):
    return step_of(method)(*nnx.split(model, nnx.Param, ...)[1:], aux, batch)


def crops_of(method, model, x):
    """Unit embeddings of all crops, and the prototypes."""
    graphdef, state = nnx.split(model)
    network = nnx.jit(lambda x: nnx.merge(graphdef, state, copy=True)(x, train=True))
    large_key, small_key = jax.random.split(KEY)
    large = augment.two_views(large_key, x, method.augmentation)
    side = round(method.small_side * 8)
    settings = dataclasses.replace(method.augmentation, size=side, crop=method.small_crop)
    small = [settings(key, x) for key in jax.random.split(small_key, method.n_small)]
    assert small[0].shape == (B, side, side, 3)
    # Batch statistics of all crops of a size together.
    z = [network(jnp.concatenate(crops)).reshape(len(crops), B, -1) for crops in (large, small)]
    z = np.concatenate([np.asarray(each) for each in z])
    unit = z / np.linalg.norm(z, axis=2, keepdims=True)
    c = np.asarray(model.prototypes[...])
    return unit, c / np.linalg.norm(c, axis=1, keepdims=True)


def expected_loss(scores, codes, temperature):
    log_p = np.asarray(jax.nn.log_softmax(jnp.asarray(scores) / temperature, axis=2))
    v = len(scores)
    return np.mean([-(codes[i] * log_p[j]).sum(1).mean() for i in range(2) for j in range(v) if i != j])


# One method for two tests, compiled once; its prototypes are frozen for an epoch.
FROZEN = methods.SwAV(**SMALL, temperature=0.3, epsilon=0.2, small_side=0.5, freeze_epochs=1.0)


@pytest.mark.full
def test_a_step():
    model, aux, batch = started(FROZEN, epoch=1)
    z, c = crops_of(FROZEN, model, batch["x"])
    scores = z @ c.T
    codes = [np.asarray(sinkhorn(scores[i], epsilon=0.2)) for i in range(2)]
    loss, _, gradient = one_step(FROZEN, model, aux, batch)
    np.testing.assert_allclose(loss, expected_loss(scores, codes, 0.3), rtol=1e-3)
    assert np.abs(gradient["prototypes"][...]).max() > 1e-4


def test_prototypes_are_frozen_at_first():
    gradient = one_step(FROZEN, *started(FROZEN, epoch=0))[2]
    assert np.abs(gradient["prototypes"][...]).max() == 0
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient["encoder"])) > 1e-6


@pytest.mark.full
def test_the_queue_takes_part_once_it_is_full_and_late_enough():
    method = methods.SwAV(**SMALL, queue_size=8, queue_epochs=3.0, epsilon=0.2, small_side=0.5)
    queue = np.random.default_rng(0).normal(size=(8, 2, 5)).astype(np.float32)
    queue /= np.linalg.norm(queue, axis=2, keepdims=True)
    for epoch, n_queued, used in ((3, 8, True), (2, 8, False), (3, 7, False)):
        model, aux, batch = started(method, epoch)
        aux |= {"queue": jnp.asarray(queue), "n_queued": jnp.int32(n_queued), "position": jnp.int32(4)}
        z, c = crops_of(method, model, batch["x"])
        scores, codes = z @ c.T, []
        for i in range(2):
            both = np.concatenate([scores[i], queue[:, i] @ c.T]) if used else scores[i]
            codes.append(np.asarray(sinkhorn(both, epsilon=0.2))[:B])
        loss, new, _ = one_step(method, model, aux, batch)
        np.testing.assert_allclose(loss, expected_loss(scores, codes, 0.1), rtol=1e-3)
        np.testing.assert_allclose(new["queue"][4:], np.stack([z[0], z[1]], 1)[:4], rtol=1e-3, atol=1e-5)
        assert (int(new["position"]), int(new["n_queued"])) == (2, 8)


@pytest.mark.full
def test_a_run_with_a_queue_goes_on(one_device, tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 3), np.uint8)
    method = methods.SwAV(**SMALL, queue_size=9, queue_epochs=1.0, n_prototypes=5)
    stage = Stage(method=method, steps=8, batch_size=6)
    calls = iter(range(100))
    arguments = {"devices": one_device, "workdir": tmp_path / "run"}
    with pytest.raises(Stopped):
        fit(Experiment((stage,)), x, should_stop=lambda: next(calls) == 3, **arguments)
    resumed = fit(Experiment((stage,)), x, **arguments)
    alone = fit(Experiment((stage,)), x, devices=one_device)
    np.testing.assert_array_equal(resumed.probabilities, alone.probabilities)


def test_what_is_refused():
    for settings, message in (
        ({"queue_size": 4}, "the queue of 4 images is smaller than a batch of 6"),
        ({"n_prototypes": 7}, "7 prototypes can't share the 6 images"),
    ):
        with pytest.raises(InputError, match=message):
            methods.SwAV(**SMALL, **settings).check_batch_size(6, SPEC)
    methods.SwAV(**SMALL, n_prototypes=7, queue_size=8).check_batch_size(6, SPEC)


def test_what_was_left_open():
    method = methods.SwAV(n_clusters=10)
    assert method.n_codes == 30
    assert [method.for_length(epochs).queue_epochs for epochs in (40.0, 200.0, 800.0)] == [3, 15, 15]
    (stage,) = method.stages("paper", DataSpec((224, 224, 3), 1_281_167))
    rate = stage.optimizer.learning_rate * stage.batch_size / 256
    assert (stage.method.n_codes, stage.batch_size, rate) == (3000, 4096, pytest.approx(4.8))


def test_small_crops_of_handwriting():
    method = methods.SwAV(**SMALL, small_side=0.5, small_crop=(0.25, 0.64))
    x = jnp.zeros((2, 8, 8, 1))
    preset = method._small_preset(x)
    assert preset.size == 4
    np.testing.assert_allclose(preset.crops, (0.5, 0.65, 0.8), atol=0.02)
    assert two_views.check_views(DataSpec((8, 8, 1), N), dataclasses.replace(method, augmentation=preset)) == 4

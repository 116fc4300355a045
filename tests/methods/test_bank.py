"""A memory bank that is shared out over devices, against one that each device has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import losses, nn
from jaxdc.cluster import layout
from jaxdc.distributed import sharding
from jaxdc.losses._global import split_over
from jaxdc.methods import IDFD
from jaxdc.methods.base import DataSpec, Stage
from jaxdc.methods.parts.bank import discriminate
from jaxdc.train.checkpoint import Checkpoints, abstract_like
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import abstract_state, init_state, merge, replace_model

SETTINGS = {"temperature": 0.3, "momentum": 0.4}


def unit_rows(n, d, seed):
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("n_devices", [2, 8])
@pytest.mark.parametrize("n", [40, 41])
def test_the_shares_give_the_numbers_of_the_whole(n, n_devices):
    z, bank = 3 * unit_rows(16, 8, 0), unit_rows(n, 8, 1)
    index = np.random.default_rng(2).permutation(n)[:16].astype(np.int32)
    mesh = sharding.make_mesh(jax.devices()[:n_devices])

    def both(z, bank, index):
        with split_over(mesh):
            loss, new = discriminate(z, bank, index, **SETTINGS)
        return jnp.mean(loss * jnp.arange(16)), (loss, new)

    where = layout.sharding_of(bank.shape, mesh)
    assert where.shard_shape(bank.shape) != bank.shape
    split = jax.device_put((z, index), sharding.by_sample(mesh))
    step = jax.jit(jax.value_and_grad(both, has_aux=True))
    (_, (loss, new)), gradient = step(split[0], jax.device_put(bank, where), split[1])
    assert new.sharding.shard_shape(bank.shape) == where.shard_shape(bank.shape)

    def plain(z):
        return losses.instance_discrimination(z, bank, index, temperature=0.3)

    np.testing.assert_allclose(loss, plain(z), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(new, losses.update_memory_bank(bank, z, index, momentum=0.4), rtol=1e-5, atol=1e-6)
    expected = jax.grad(lambda z: jnp.mean(plain(z) * jnp.arange(16)))(z)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_a_share_needs_its_axis():
    z, bank, index = unit_rows(2, 4, 0), unit_rows(8, 4, 1), np.arange(2)
    with pytest.raises(ValueError, match="n_samples is of a memory bank that is split over devices, so axis_name"):
        losses.instance_discrimination(z, bank, index, n_samples=8)
    with pytest.raises(ValueError, match="so axis_name must be given"):
        losses.update_memory_bank(bank, z, index, n_samples=8)


@pytest.mark.full
@pytest.mark.parametrize("n", [40, 41])
def test_a_checkpoint_of_eight_devices_is_one_of_one(n, tmp_path):
    method = IDFD(n_clusters=3, backbone=nn.Backbone(depth=6, width=4), projection=8)
    spec, tx = DataSpec((6, 6, 1), n), make_optimizer(Stage(method=method, steps=1), n)
    eight, one = sharding.make_mesh(), sharding.make_mesh(jax.devices()[:1])
    graphdef, state = init_state(method, tx, jax.random.key(0), spec, eight)
    bank = state.aux["memory_bank"]
    assert bank.sharding.shard_shape(bank.shape) == ((5, 8) if n == 40 else (41, 1))
    shares = [leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves((state.params, state.opt_state))]
    assert all(shares)
    kept = bank
    for step, mesh in enumerate((one, eight)):
        folder = tmp_path / str(step)
        checkpoints = Checkpoints(folder)
        checkpoints.save(1, {"state": state})
        checkpoints.close()
        like = abstract_like(abstract_state(method, tx, spec, mesh)[1])
        state = Checkpoints(folder).load({"state": like})["state"]
        found = state.aux["memory_bank"]
        assert found.sharding.device_set == set(mesh.devices.flat)
        np.testing.assert_array_equal(found, kept)
    assert found.sharding.shard_shape(bank.shape) == bank.sharding.shard_shape(bank.shape)
    # A refresh leaves it where it is.
    model, aux = method.refresh(merge(graphdef, state), state.aux, None, jax.random.key(1))
    refreshed = replace_model(state, model, aux, tx, eight)
    assert refreshed.aux["memory_bank"].sharding == found.sharding
    assert refreshed.aux["centroids"].sharding.is_fully_replicated

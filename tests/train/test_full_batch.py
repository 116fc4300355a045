"""Methods whose every batch is the whole data set: its order, any number of devices, and what is refused."""

import jax
import numpy as np
import pytest

from jaxdc import fit
from jaxdc.data import ArraySource
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods import AE
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Schedule, Stage
from jaxdc.train import memory
from jaxdc.train.checks import check_stage
from jaxdc.train.optimizer import make_schedule

N = 45  # which neither 2 nor 4 nor 8 devices can share evenly


class Whole(AE):
    """An autoencoder that also says which rows it has seen, and takes memory with the square of the samples."""

    full_batch = True

    def loss(self, model, aux, batch, key):
        value, (aux, metrics) = AE.loss(self, model, aux, batch, key)
        in_order = (batch["index"] == np.arange(N)).mean()
        return value, (aux, {**metrics, "in_order": in_order})

    def device_bytes(self, n_samples):
        return 4 * n_samples**2


METHOD = Whole(n_clusters=3, hidden=(8,), latent=4)


def samples():
    return np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32)


def experiment(epochs=12, **settings):
    return Experiment((Stage(method=METHOD, epochs=epochs, batch_size=7, **settings),))


def history(n_devices):
    result = fit(experiment(), samples(), devices=jax.devices()[:n_devices])
    return [row for row in result.history if "loss" in row]


def test_every_step_takes_all_samples_in_their_order():
    rows = history(1)
    assert rows[-1]["step"] == 12
    assert all(row["in_order"] == 1.0 for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.full
@pytest.mark.parametrize("n_devices", [2, 4, 8])
def test_devices_that_do_not_divide_the_samples(n_devices):
    alone = fit(experiment(), samples(), devices=jax.devices()[:1])
    shared = fit(experiment(), samples(), devices=jax.devices()[:n_devices])
    first = [next(row for row in result.history if "loss" in row) for result in (alone, shared)]
    np.testing.assert_allclose(first[1]["loss"], first[0]["loss"], rtol=1e-5)
    np.testing.assert_allclose(shared.embeddings, alone.embeddings, rtol=1e-4, atol=1e-5)


def test_a_rate_that_scales_with_the_batch_knows_all_samples():
    (stage,) = experiment(optimizer=Optimizer(learning_rate=0.1, batch_scaling="linear")).stages
    assert make_schedule(stage, 512) == pytest.approx(0.2)


def test_streams_are_refused():
    source = ArraySource(samples(), name="much.npy")
    source.array = None
    with pytest.raises(InputError, match=r"every step of Whole takes all samples, but much.npy is streamed"):
        fit(experiment(), source)


def test_a_batch_size_is_of_the_other_stages():
    first = Stage(method=AE(n_clusters=3), steps=5)
    (own,) = experiment().stages
    both = Schedule(batch_size=16).apply(Experiment((first, own))).stages
    assert [stage.batch_size for stage in both] == [16, own.batch_size]
    with pytest.raises(InputError, match="Whole takes no batch size: every step takes all samples"):
        Schedule(batch_size=16).apply(experiment())


def test_too_many_samples_for_the_device(monkeypatch):
    mesh, (stage,) = sharding.make_mesh(jax.devices()[:1]), experiment().stages
    monkeypatch.setattr(memory, "device_limit", lambda mesh: 4 * 1000**2)
    check_stage(stage, DataSpec((6,), 1000), mesh)
    with pytest.raises(InputError, match=r"1,001 samples are too many for Whole.*use at most 1,000 samples"):
        check_stage(stage, DataSpec((6,), 1001), mesh)


def test_the_share_of_a_device():
    one, eight = (memory.device_limit(sharding.make_mesh(jax.devices()[:n])) for n in (1, 8))
    assert one > 2**28
    assert one // 8 == eight


def test_out_of_memory_all_the_same():
    text = memory.advice(0, experiment().stages[0], resident=True, estimate=None)
    assert text.endswith("every step takes all samples, so use fewer samples, or a device with more memory")

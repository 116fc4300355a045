"""What a step takes of the device is said before the first; too much of it is said in words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import fit, nn
from jaxdc.data import ArraySource
from jaxdc.errors import InputError
from jaxdc.methods import AE, SimCLR
from jaxdc.methods.base import Experiment, Optimizer, Stage
from jaxdc.train import inputs, memory, steps
from jaxdc.train.stage_run import Stopped

N, D, HIDDEN, LATENT, K, BATCH = 200, 30, 16, 4, 3, 40
METHOD = AE(n_clusters=K, hidden=(HIDDEN,), latent=LATENT)
STAGES = Experiment((Stage(method=METHOD, steps=8, batch_size=BATCH, optimizer=Optimizer(name="adam")),))


class Stream(ArraySource):
    """An array that pretends to be too large for the device."""

    def __init__(self, *args):
        super().__init__(*args)
        self.array = None


def samples(kind=ArraySource):
    return kind(np.random.default_rng(0).normal(size=(N, D)))


def sizes(result):
    (row,) = [row for row in result.history if "state_bytes" in row]
    return row


@pytest.mark.full
@pytest.mark.parametrize(
    ("n_devices", "kind"),
    [
        (1, ArraySource),
        (4, ArraySource),
        (1, Stream),
        (4, Stream),
    ],
)
def test_the_estimate_beside_a_sum_by_hand(n_devices, kind):
    row = sizes(fit(STAGES, samples(kind), devices=jax.devices()[:n_devices]))
    n_parameters = (D + 1) * HIDDEN + (HIDDEN + 1) * LATENT + (LATENT + 1) * HIDDEN + (HIDDEN + 1) * D
    numbers = 3 * n_parameters + K * LATENT  # Adam keeps two more of each; k-means' centroids
    small = row["state_bytes"] - 4 * numbers  # steps, counts, a scale, a random key
    assert 0 < small <= 40
    batch = BATCH // n_devices
    # Resident on every device, with the order of the epoch; or a batch and its rows, cut among them.
    assert row["data_bytes"] == 4 * (N * D + N if kind is ArraySource else batch * D + batch)
    # At least the activations of the hidden layers, of a device's share of the batch.
    assert row["temporaries_bytes"] > 4 * batch * HIDDEN
    assert (row["stage"], row["step"]) == (1, 0)


def test_it_is_said_before_every_stage_and_kept_once(capsys, tmp_path):
    stages = Experiment((*STAGES.stages, *STAGES.stages))
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == 3

    arguments = {"workdir": tmp_path / "run", "progress": True, "devices": jax.devices()[:1]}
    with pytest.raises(Stopped):
        fit(stages, samples(), should_stop=stop, **arguments)
    assert "stage 1, memory of a step per device: state 0.0 MiB, data 0.0 MiB" in capsys.readouterr().err
    result = fit(stages, samples(), **arguments)
    said = capsys.readouterr().err
    assert said.index("resuming from stage 1") < said.index("stage 1, memory") < said.index("stage 2, memory")
    assert [row["stage"] for row in result.history if "state_bytes" in row] == [1, 2]


def test_nothing_is_compiled_twice():
    traces = []

    class Counted(AE):
        def loss(self, model, aux, batch, key):
            traces.append(1)
            return AE.loss(self, model, aux, batch, key)

    method = Counted(n_clusters=K, hidden=(HIDDEN,), latent=LATENT)
    stages = Experiment((Stage(method=method, steps=8, batch_size=BATCH),))
    for kind in (ArraySource, Stream):
        fit(stages, samples(kind), devices=jax.devices()[:1])
    assert len(traces) == 2


def exhausted(*_, **__):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.")


PLACES = [
    (inputs.sharding, "replicate"),
    (steps.AheadOfTime, "compile"),
    (steps.AheadOfTime, "__call__"),
    (inputs.ResidentInput, "features"),
]


@pytest.mark.parametrize(("owner", "name"), PLACES, ids=["data", "compile", "step", "refresh"])
def test_too_much_is_said_in_words(owner, name, monkeypatch, tmp_path):
    monkeypatch.setattr(owner, name, exhausted)
    words = r"out of memory in stage 1, AE.*--batch-size below 40, --resident-gib 0, which .* or more devices"
    with pytest.raises(InputError, match=words) as error:
        fit(STAGES, samples(), devices=jax.devices()[:1], workdir=tmp_path / "run")
    assert ("a step takes state" in str(error.value)) == (name in ("__call__", "features"))
    assert not (tmp_path / "run").exists() or name == "features"  # with features it had trained to the end


def test_a_device_that_is_really_too_small(monkeypatch):
    def loss(self, model, aux, batch, key):
        value, rest = own(self, model, aux, batch, key)
        wide = jnp.broadcast_to(batch["x"].mean(), (2**24,)) + jnp.arange(2**24)
        return value + 0.0 * jnp.sort(jnp.outer(wide, wide), axis=0)[3].sum(), rest  # a petabyte

    own = AE.loss
    monkeypatch.setattr(AE, "loss", loss)
    with pytest.raises(InputError, match=r"a step takes state 0.0 MiB, data 0.0 MiB, temporaries \d+.\d GiB"):
        fit(STAGES, samples(), devices=jax.devices()[:1])


def test_other_errors_stay_what_they_are():
    with (
        pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"),
        memory.exhaustion_is_an_input_error(lambda: "no"),
    ):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


def test_what_helps():
    contrastive = Stage(method=SimCLR(n_clusters=3), epochs=1, batch_size=512)
    planned = memory.Estimate(2**20, 3 * 2**30, 5 * 2**29, 4 * 2**30)
    text = memory.advice(1, contrastive, resident=False, estimate=planned)
    assert text == (
        "the device ran out of memory in stage 2, SimCLR (a step takes state 1.0 MiB, "
        "data 3.0 GiB, temporaries 2.5 GiB: 5.5 GiB of 4.0 GiB on each device): try a --batch-size below 512, "
        "--backbone.dtype bfloat16, --block-size 128, which computes the contrastive loss in blocks, or more "
        "devices, which share the batch"
    )
    half = Stage(method=SimCLR(n_clusters=3, backbone=nn.Backbone(dtype="bfloat16")), epochs=1)
    assert "bfloat16" not in memory.advice(0, half, resident=False, estimate=None)


def test_copies_are_not_to_be_streamed(monkeypatch):
    """``--copies`` needs the images in memory: with ``--resident-gib 0`` it would be refused."""
    monkeypatch.setattr(steps.AheadOfTime, "compile", exhausted)
    images = ArraySource(np.random.default_rng(0).random((BATCH, 6, 6, 1), np.float32))
    with pytest.raises(InputError, match="batch-size below 40, fewer --copies, or more devices") as error:
        fit(STAGES, images, copies=1, devices=jax.devices()[:1])
    assert "resident" not in str(error.value)

"""Many steps in one dispatch: any split gives the same, no length is traced, and a run does not notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import fit
from jaxdc.data import ArraySource
from jaxdc.distributed import sharding
from jaxdc.methods import AE, DEC
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Stage
from jaxdc.train import stage_run, steps
from jaxdc.train.inputs import ResidentInput
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.stage_run import Stopped
from jaxdc.train.state import init_state

N, BATCH, TOGETHER = 64, 8, 3
SMALL = {"hidden": (8,), "latent": 2}


@pytest.fixture(scope="module")
def training(one_device_alone):
    method, mesh = AE(n_clusters=3, **SMALL), sharding.make_mesh()
    tx = make_optimizer(Stage(method=method, steps=8, optimizer=Optimizer(name="adam", learning_rate=0.01)), N)
    graphdef, state = init_state(method, tx, jax.random.key(0), DataSpec((5,), N), mesh)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(N, 5)), jnp.float32)
    order = jnp.asarray(np.random.default_rng(1).permutation(N), jnp.int32)

    def make(**settings):
        return steps.make_resident_steps(method, graphdef, tx, mesh, BATCH, **settings)

    return make, (lambda: jax.tree.map(jnp.copy, state)), x, order


def taken(run, state, x, order, split):
    """The state after the steps of all dispatches, and the mean loss of them."""
    first, total = 0, 0.0
    for n in split:
        state, metrics = run(state, x, order, np.int32(first), n)
        first, total = first + n, total + n * float(metrics["loss"])
    leaves = jax.tree.leaves((state.params, state.opt_state, state.step))
    return [np.asarray(leaf) for leaf in leaves], total / first


def test_any_split_into_dispatches_is_the_same(training):
    make, state, x, order = training
    expected, loss = taken(make(), state(), x, order, [1] * 8)
    run = make(together=TOGETHER, looped=True)
    for split in ([8], [3, 5], [1, 4, 3], [2, 2, 2, 2]):
        leaves, mean = taken(run, state(), x, order, split)
        for leaf, one in zip(leaves, expected, strict=True):
            np.testing.assert_allclose(leaf, one, rtol=1e-5, atol=1e-7, err_msg=str(split))
        assert mean == pytest.approx(loss, rel=1e-5)
    # Of the same programs in the same order, to the bit.
    for leaf, same in zip(*(taken(run, state(), x, order, s)[0] for s in ([8], [3, 3, 2])), strict=True):
        np.testing.assert_array_equal(leaf, same)


def test_the_length_of_a_loop_is_compiled_in(training):
    make, state, x, order = training
    run = make(together=TOGETHER, looped=True)
    text = run.compile(state(), x, order, np.int32(0)).as_text()
    loops = [line for line in text.splitlines() if " while(" in line and '"known_trip_count"' in line]
    assert any(f'"n":"{TOGETHER}"' in line for line in loops)
    # Both lengths are compiled, so that nothing compiles later.
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.stages.Lowered, "compile", None)
        assert len(taken(run, state(), x, order, [4])[0]) > 0


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (20, 20), (63, 31), (97, 32), (195, 32), (31, 31)])
def test_the_fewest_dispatches_of_an_epoch(n, expected):
    assert steps.steps_together(n) == expected


class Pretended:
    """Steps that do nothing."""

    longest = 8

    def __call__(self, state, x, order, first, n_steps):
        return state, {}


def test_the_middle_of_an_epoch_leaves_no_single_steps_behind(one_device, monkeypatch):
    x = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
    stage, mesh = Stage(method=AE(n_clusters=3, **SMALL), steps=80, batch_size=2), sharding.make_mesh(one_device)
    tx = make_optimizer(stage, len(x))
    graphdef, state = init_state(stage.method, tx, jax.random.key(0), DataSpec((5,), len(x)), mesh)
    data = ResidentInput(ArraySource(x), mesh)
    data.begin(stage, graphdef, tx, jax.random.key(1), 0)
    monkeypatch.setattr(data, "_run", Pretended())
    # Of the 35 steps of an epoch, by the step at which a dispatch begins and the steps that it may take.
    for step, n, taken in [
        (0, 3, 3),
        (0, 20, 16),
        (0, 50, 35),
        (16, 18, 16),
        (16, 19, 19),
        (30, 9, 5),
        (70, 9, 8),
    ]:
        assert data.advance(state, step, n)[2] == taken, (step, n)


def test_a_run_of_many_steps_a_dispatch_stops_and_goes_on(one_device, monkeypatch, tmp_path):
    """As on an accelerator, and as step by step."""
    x = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    method = DEC(n_clusters=3, refresh_steps=7, tolerance=0.0, **SMALL)
    autoencoder = Stage(method=AE(n_clusters=3, **SMALL), steps=24, batch_size=20)
    run = {
        "devices": one_device,
        "method": Experiment((autoencoder, Stage(method=method, steps=20, batch_size=20))),
    }
    one_by_one = fit(**run, x=x)
    monkeypatch.setattr(steps, "loops_well", lambda mesh: True)
    monkeypatch.setattr(stage_run._Pace, "steps", lambda pace: 10)
    whole = fit(**run, x=x)
    np.testing.assert_allclose(whole.probabilities, one_by_one.probabilities, rtol=1e-3, atol=1e-5)
    told = {
        stage: [row["step"] for row in whole.history if row["stage"] == stage and "loss" in row]
        for stage in (1, 2)
    }
    assert told == {1: [10, 20, 24], 2: [7, 10, 14, 20]}
    calls = iter(range(100))
    with pytest.raises(Stopped):
        fit(**run, x=x, workdir=tmp_path / "run", should_stop=lambda: next(calls) == 4)
    resumed = fit(**run, x=x, workdir=tmp_path / "run")
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)

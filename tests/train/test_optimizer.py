"""Optimizers and schedules by hand: one step at a time, in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxdc.errors import InputError
from jaxdc.methods import DEC, TEMI
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Schedule, Stage
from jaxdc.runs import config
from jaxdc.train.optimizer import make_optimizer, make_schedule

N = 1024  # 4 steps an epoch at batch 256
PARAMS = {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.array([1.0, -2.0]), "t": jnp.array(0.5)}
GRADIENTS = [
    {"w": jnp.array([[0.5, 0.0], [0.0, 0.0]]), "b": jnp.array([0.1, 0.2]), "t": jnp.array(1.0)},
    {"w": jnp.array([[0.0, 1.0], [0.0, 0.0]]), "b": jnp.array([0.3, 0.0]), "t": jnp.array(0.0)},
]


def stage(*, steps=None, epochs=None, batch_size=256, **settings):
    steps = 100 if steps is None and epochs is None else steps
    optimizer = Optimizer(**settings)
    return Stage(method=DEC(n_clusters=2), steps=steps, epochs=epochs, batch_size=batch_size, optimizer=optimizer)


def rates(stage, counts):
    schedule = make_schedule(stage, N)
    return [float(schedule(jnp.int32(c)) if callable(schedule) else schedule) for c in counts]


def test_a_constant_rate_is_a_number():
    assert make_schedule(stage(learning_rate=0.3), N) == 0.3


def test_cosine():
    got = rates(stage(learning_rate=0.4, cosine=True), [0, 50, 75, 100, 130])
    np.testing.assert_allclose(got, [0.4, 0.2, 0.2 * (1 - np.sqrt(0.5)), 0, 0], rtol=1e-5, atol=1e-7)


def test_warm_up_and_cosine():
    # 10 epochs of 4 steps: 40 of 140.
    got = rates(stage(epochs=35, learning_rate=1.0, cosine=True, warmup_epochs=10), [0, 10, 40, 90, 140])
    np.testing.assert_allclose(got, [0, 0.25, 1.0, 0.5, 0], rtol=1e-5, atol=1e-7)
    # Alone it rises and stays; and a short stage spends half its length on it.
    got = rates(stage(epochs=35, learning_rate=1.0, warmup_epochs=10), [20, 40, 139])
    np.testing.assert_allclose(got, [0.5, 1.0, 1.0])
    got = rates(stage(epochs=5, learning_rate=1.0, warmup_epochs=10), [5, 10, 19])
    np.testing.assert_allclose(got, [0.5, 1.0, 1.0])


def test_decay_by_steps():
    got = rates(stage(learning_rate=1.0, decay_every=30), [0, 29, 30, 59, 60, 90])
    np.testing.assert_allclose(got, [1, 1, 0.1, 0.1, 0.01, 0.001], rtol=1e-5)
    at = {"decay_at": (0.3, 0.475, 0.65, 0.825)}
    # IDFD's: epochs 600, 950, 1300, 1650 of 2000.
    epochs = stage(epochs=2000, learning_rate=1.0, **at)
    got = rates(epochs, [2399, 2400, 3799, 3800, 5199, 5200, 6599, 6600])
    np.testing.assert_allclose(got, [1, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4], rtol=1e-5)
    # A shorter stage keeps them at the same shares; two at the same step both count.
    shorter = Schedule(epochs=20).apply(Experiment((epochs,))).stages[0]
    np.testing.assert_allclose(rates(shorter, [23, 24, 38, 52, 66]), [1, 0.1, 0.01, 1e-3, 1e-4], rtol=1e-5)
    np.testing.assert_allclose(
        rates(stage(steps=2, learning_rate=1.0, **at), [0, 1, 2]), [1, 1e-3, 1e-4], rtol=1e-5
    )


def test_decay_by_another_factor_down_to_a_limit():
    # 4 steps an epoch: VaDE's 0.9 every ten epochs.
    vade = stage(epochs=100, learning_rate=2e-3, decay_every_epochs=10, decay_factor=0.9, lowest_rate=1.7e-3)
    got = rates(vade, [0, 39, 40, 79, 80, 399])
    np.testing.assert_allclose(got, [2e-3, 2e-3, 1.8e-3, 1.8e-3, 1.7e-3, 1.7e-3], rtol=1e-5)
    # RotNet's, a fifth at 60, 120 and 160 of 200 epochs.
    rotnet = stage(epochs=200, learning_rate=0.1, decay_at=(0.3, 0.6, 0.8), decay_factor=0.2)
    np.testing.assert_allclose(rates(rotnet, [239, 240, 480, 640]), [0.1, 0.02, 4e-3, 8e-4], rtol=1e-5)
    # The limit is one of the decay, not of the warm-up.
    slow = stage(epochs=100, learning_rate=1.0, cosine=True, warmup_epochs=10, lowest_rate=0.5)
    np.testing.assert_allclose(rates(slow, [10, 40, 399]), [0.25, 1.0, 0.5], rtol=1e-5)


def test_epsilon_is_adams():
    params, gradient = {"w": jnp.ones((2, 2))}, {"w": jnp.full((2, 2), 1e-3)}
    for epsilon in (None, 1e-3):
        tx = make_optimizer(stage(learning_rate=1.0, epsilon=epsilon), 100)
        step = tx.update(gradient, tx.init(params), params)[0]["w"]
        np.testing.assert_allclose(step, -1e-3 / (1e-3 + (epsilon or 1e-8)), rtol=1e-4)


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1), ("linear", 4), ("sqrt", 2)])
def test_the_rate_grows_with_the_batch(scaling, factor):
    settings = {"learning_rate": 0.1, "batch_scaling": scaling}
    np.testing.assert_allclose(rates(stage(batch_size=1024, **settings), [0]), [0.1 * factor])
    np.testing.assert_allclose(rates(stage(batch_size=1024, cosine=True, **settings), [0]), [0.1 * factor])
    np.testing.assert_allclose(rates(stage(batch_size=256, **settings), [0]), [0.1])


def run(**settings):
    """The parameters after two steps."""
    tx = make_optimizer(stage(**settings), N)
    params, state = PARAMS, tx.init(PARAMS)
    for gradients in GRADIENTS:
        updates, state = tx.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    return params


def by_hand(update, decay):
    """Two steps of ``update(parameter, gradient, memory, t, is_weight)``, which returns the memory too."""
    results = {}
    for name, start in PARAMS.items():
        p, memory = np.asarray(start, np.float64), {}
        for t, gradients in enumerate(GRADIENTS, start=1):
            g = np.asarray(gradients[name], np.float64)
            if name == "w":
                g = g + decay * p
            p = update(p, g, memory, t, name == "w")
        results[name] = p
    return results


def assert_equal(got, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov):
    def update(p, g, memory, t, is_weight):
        memory["v"] = 0.8 * memory.get("v", 0) + g
        return p - 0.1 * (g + 0.8 * memory["v"] if nesterov else memory["v"])

    got = run(name="sgd", learning_rate=0.1, momentum=0.8, weight_decay=0.01, nesterov=nesterov)
    assert_equal(got, by_hand(update, 0.01))


def adam(p, g, memory, t, is_weight):
    memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g**2
    m, v = memory["m"] / (1 - 0.9**t), memory["v"] / (1 - 0.999**t)
    return p - 0.1 * m / (np.sqrt(v) + 1e-8)


def test_adam_takes_the_decay_into_the_gradient():
    assert_equal(run(name="adam", learning_rate=0.1, weight_decay=0.05), by_hand(adam, 0.05))
    assert_equal(run(name="adam", learning_rate=0.1), by_hand(adam, 0))


def test_adamw_does_not():
    def update(p, g, memory, t, is_weight):
        return adam(p, g, memory, t, is_weight) - (0.1 * 0.05 * p if is_weight else 0)

    assert_equal(run(name="adamw", learning_rate=0.1, weight_decay=0.05), by_hand(update, 0))


def test_lars():
    def update(p, g, memory, t, is_weight):
        if is_weight:
            g = g * 0.02 * np.linalg.norm(p) / np.linalg.norm(g)
        memory["v"] = 0.9 * memory.get("v", 0) + 2.0 * g
        return p - memory["v"]

    got = run(name="lars", learning_rate=2.0, weight_decay=0.01, trust_coefficient=0.02)
    assert_equal(got, by_hand(update, 0.01))


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lars"])
def test_biases_and_norms_do_not_decay(name):
    tx = make_optimizer(stage(name=name, weight_decay=0.5), N)
    zeros = {key: jnp.zeros_like(value) for key, value in PARAMS.items()}
    updates, _ = tx.update(zeros, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["b"], 0.0)
    np.testing.assert_array_equal(updates["t"], 0.0)
    assert np.all(np.diag(updates["w"]) < 0)


@pytest.mark.full
@pytest.mark.parametrize("method", [DEC(n_clusters=3), TEMI(n_clusters=3, n_heads=2)], ids=["DEC", "TEMI"])
def test_nor_do_centroids_and_stacked_biases(method):
    model, _ = method.init(jax.random.key(0), DataSpec((8,), N))
    params = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))
    tx = make_optimizer(stage(name="sgd", weight_decay=0.5), N)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    moved = {jax.tree_util.keystr(path) for path, u in jax.tree_util.tree_leaves_with_path(updates) if u.any()}
    assert moved and all("kernel" in name or "directions" in name for name in moved), moved


@pytest.mark.parametrize("part", ["encoder", "predictor"])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lars"])
def test_a_part_has_a_rate_of_its_own(name, part):
    """Two steps of the same numbers: those of the part are as long as those of an optimizer of that rate."""
    settings = {"name": name, "weight_decay": 0.01}

    def run(params, **more):
        tx = make_optimizer(stage(**settings, **more), N)
        state, moved = tx.init(params), []
        for gradients in GRADIENTS:
            updates, state = tx.update(dict.fromkeys(params, gradients), state, params)
            moved.append(updates)
        return moved

    params = {part: PARAMS, "head": PARAMS}
    both = run(params, learning_rate=0.1, **{f"{part}_rate": 0.05})
    fast, slow = (run({"head": PARAMS}, learning_rate=rate) for rate in (0.1, 0.005))
    for step in range(2):
        for key in PARAMS:
            np.testing.assert_allclose(both[step]["head"][key], fast[step]["head"][key], rtol=1e-6)
            np.testing.assert_allclose(both[step][part][key], slow[step]["head"][key], rtol=1e-5)


def test_settings_come_back_from_json():
    import json

    optimizer = Optimizer(
        name="lars", weight_decay=1e-4, decay_at=(0.6, 0.8), warmup_epochs=10, batch_scaling="sqrt"
    )
    experiment = Experiment((dataclasses.replace(stage(), optimizer=optimizer),))
    stages = json.loads(json.dumps([config.describe_stage(s) for s in experiment.stages]))
    assert stages[0]["optimizer"]["decay_at"] == [0.6, 0.8]
    assert config.experiment_of({"run": {"stages": stages}}) == experiment


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lion"}, "name must be one of adam, adamw, sgd, lars, not 'lion'"),
        ({"batch_scaling": "cubic"}, "batch_scaling must be one of none, linear, sqrt, not 'cubic'"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"encoder_rate": -0.1}, "encoder_rate must be at least 0"),
        ({"warmup_epochs": -1}, "warmup_epochs must be at least 0"),
        ({"weight_decay": float("nan")}, "weight_decay must be finite"),
        ({"encoder_rate": float("inf")}, "encoder_rate must be finite"),
        ({"learning_rate": float("inf")}, "learning_rate must be finite"),
        ({"trust_coefficient": 0.0}, "trust_coefficient must be above 0"),
        ({"decay_every": 0}, "decay_every must be at least 1, but is 0"),
        ({"decay_at": (600, 950)}, r"fractions of the stage, between 0 and 1 .*, not \(600, 950\)"),
        ({"decay_at": (0.5,), "cosine": True}, "not both"),
        ({"decay_at": (0.5,), "decay_every": 5}, "not both"),
        ({"decay_every": 5, "cosine": True}, "not both"),
        ({"decay_every": 5, "decay_every_epochs": 5.0}, "not both"),
        ({"decay_factor": 1.5}, "decay_factor must be above 0 and at most 1"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        Optimizer(**settings)

"""What a refresh may do to the state."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.distributed import sharding
from jaxdc.methods import DEC, DataSpec
from jaxdc.methods.base import Optimizer, Stage
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import init_state, merge, replace_model

SPEC = DataSpec((4,), 8)


OPTIMIZERS = [
    Optimizer(name="adam", cosine=True),
    Optimizer(name="adam", weight_decay=0.1, cosine=True),
    Optimizer(name="adamw", weight_decay=0.1, warmup_epochs=1),
    Optimizer(name="sgd", decay_at=(0.5,)),
    Optimizer(name="sgd", weight_decay=0.1, cosine=True),
    Optimizer(name="lars", weight_decay=0.1, cosine=True, warmup_epochs=1),
]


@pytest.fixture(params=OPTIMIZERS, ids=lambda o: o.name + ("-decay" if o.weight_decay else ""))
def begun(request, one_device):
    """A state whose moments are not zero."""
    mesh, method = sharding.make_mesh(one_device), DEC(n_clusters=2, hidden=(3,), latent=2)
    tx = make_optimizer(Stage(method=method, steps=10, batch_size=4, optimizer=request.param), SPEC.n_samples)
    graphdef, state = init_state(method, tx, jax.random.key(0), SPEC, mesh)
    opt_state = state.opt_state
    for _ in range(2):  # at the first step of a warm-up the rate is 0, and with it what LARS remembers
        _, opt_state = tx.update(jax.tree.map(jnp.ones_like, state.params), opt_state, state.params)
    return graphdef, dataclasses.replace(state, opt_state=opt_state), tx, mesh


def moments(state, shape):
    return [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.shape == shape]


def test_a_replaced_parameter_starts_with_fresh_moments(begun):
    graphdef, state, tx, mesh = begun
    before = np.asarray(state.params["centroids"][...])
    model = merge(graphdef, state)
    model.centroids[...] = jnp.full((2, 2), 7.0)
    # The state is a value: the model made of it may change, it may not.
    np.testing.assert_array_equal(state.params["centroids"][...], before)
    new = replace_model(state, model, state.aux, tx, mesh)
    np.testing.assert_array_equal(new.params["centroids"][...], 7.0)
    assert all(np.abs(m).max() > 0 for m in moments(state, (2, 2)))
    assert all(np.abs(m).max() == 0 for m in moments(new, (2, 2)))
    # What was not replaced keeps its moments, and the schedule its count.
    kept = list(zip(moments(state, (4, 3)), moments(new, (4, 3)), strict=True))
    assert kept
    assert all(np.abs(a).max() > 0 and np.array_equal(a, b) for a, b in kept)
    assert [int(c) for c in moments(new, ())] == [int(c) for c in moments(state, ())]


def test_a_refresh_that_replaces_nothing_changes_no_bit(begun):
    graphdef, state, tx, mesh = begun
    new = replace_model(state, merge(graphdef, state), state.aux, tx, mesh)
    for a, b in zip(jax.tree.leaves(state.opt_state), jax.tree.leaves(new.opt_state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_refresh_must_keep_the_form(begun):
    graphdef, state, tx, mesh = begun
    with pytest.raises(TypeError, match="changed an array"):
        replace_model(state, merge(graphdef, state), {**state.aux, "p": jnp.zeros((9, 2))}, tx, mesh)
    with pytest.raises(TypeError, match="structure"):
        replace_model(state, merge(graphdef, state), {"p": state.aux["p"]}, tx, mesh)

"""The global batch decides: equal values and gradients on any number of devices, on every route."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from losses.members import MEMBERS, WHOLE_SET, loss_of

DATA = P("data")
LEARNED = [name for name, m in MEMBERS.items() if m.learned]
BLOCKWISE = [name for name in LEARNED if name not in WHOLE_SET]
# By default every function goes one route, with the gradient inside where it has one; these, over pairs, a queue
# and columns, go all.
ON_EVERY_ROUTE = {"nt_xent", "info_nce", "cluster_nt_xent"}
BY_JIT = [
    pytest.param(name, marks=pytest.mark.full if name in BLOCKWISE and name not in ON_EVERY_ROUTE else ())
    for name in MEMBERS
]


def make_mesh(n_devices=8, axis_type=AxisType.Auto):
    devices = jax.devices()[:n_devices]
    return jax.make_mesh((n_devices,), ("data",), axis_types=(axis_type,), devices=devices)


def put(mesh, arrays, spec):
    return tuple(jax.device_put(x, NamedSharding(mesh, spec)) for x in arrays)


def near(result, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-5, atol=3e-6), result, expected)


@functools.cache
def plain(name):
    """What a single device makes of the whole batch: the result, and the gradient of its mean."""
    return jax.jit(functools.partial(result_and_gradient, MEMBERS[name]))(*MEMBERS[name][1:4])


def result_and_gradient(member, learned, given, fixed):
    gradient = jax.grad(lambda learned: scalar(member, learned, given, fixed, None))(learned)
    return member.call(*learned, *given, *fixed, axis_name=None), gradient


def scalar(member, learned, given, fixed, axis_name):
    return loss_of(member.call(*learned, *given, *fixed, axis_name=axis_name))


@pytest.mark.parametrize("axis_type", [AxisType.Auto, pytest.param(AxisType.Explicit, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", BY_JIT)
def test_jit_with_a_sharded_batch(name, axis_type):
    member, mesh = MEMBERS[name], make_mesh(axis_type=axis_type)
    parts = put(mesh, member.learned, DATA), put(mesh, member.given, DATA), put(mesh, member.fixed, P())
    near(jax.jit(functools.partial(result_and_gradient, member))(*parts), plain(name))


@pytest.mark.parametrize("n_devices", [*(pytest.param(n, marks=pytest.mark.full) for n in (1, 2, 4)), 8])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ON_EVERY_ROUTE else pytest.mark.full)
        for name in MEMBERS
        if name not in WHOLE_SET
    ],
)
def test_shard_map_with_the_gradient_outside(name, n_devices):
    member, mesh = MEMBERS[name], make_mesh(n_devices)

    def local(learned, given, fixed):
        result = member.call(*learned, *given, *fixed, axis_name="data")
        return result, jax.lax.pmean(loss_of(result), "data")

    # That a global result leaves with P() means it is known to be equal on all devices.
    out = (DATA if member.by_sample else P(), P())
    whole = jax.shard_map(local, mesh=mesh, in_specs=(DATA, DATA, P()), out_specs=out)

    @jax.jit
    def both(learned):
        def loss(learned):
            result, value = whole(learned, member.given, member.fixed)
            return value, result

        (_, result), gradient = jax.value_and_grad(loss, has_aux=True)(learned)
        return result, gradient

    near(both(member.learned), plain(name))


@functools.cache
def plain_gradient_of_weights(name):
    member = MEMBERS[name]
    return jax.jit(jax.grad(lambda w: weighted_loss(member, w, *member[1:4], None)))(weights_of(member))


def weighted_loss(member, weights, learned, given, fixed, axis_name):
    """The loss of inputs that replicated parameters have acted on, as a network's would."""
    learned = tuple(x * w[None, :] for x, w in zip(learned, weights, strict=True))
    return scalar(member, learned, given, fixed, axis_name)


def weights_of(member):
    return tuple(jnp.linspace(0.8, 1.2, x.shape[1]) for x in member.learned)


@pytest.mark.parametrize("check_vma", [True, pytest.param(False, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", BLOCKWISE)
def test_shard_map_with_the_gradient_of_replicated_parameters_inside(name, check_vma):
    member, mesh = MEMBERS[name], make_mesh()

    def local(weights, learned, given, fixed):
        def loss(weights):
            return jax.lax.pmean(weighted_loss(member, weights, learned, given, fixed, "data"), "data")

        gradient = jax.grad(loss)(weights)
        return gradient if check_vma else jax.lax.pmean(gradient, "data")

    specs = (P(), DATA, DATA, P())
    run = jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=check_vma)
    near(jax.jit(run)(weights_of(member), *member[1:4]), plain_gradient_of_weights(name))


@pytest.mark.full
@pytest.mark.parametrize("name", BLOCKWISE)
def test_pmap(name):
    member, n = MEMBERS[name], 8

    def local(learned, given):
        def loss(weights):
            return jax.lax.pmean(weighted_loss(member, weights, learned, given, member.fixed, "data"), "data")

        return jax.lax.pmean(jax.grad(loss)(weights_of(member)), "data")

    def split(arrays):
        return tuple(x.reshape(n, -1, *x.shape[1:]) for x in arrays)

    gradient = jax.pmap(local, axis_name="data")(split(member.learned), split(member.given))
    for device in (0, n - 1):
        near(tuple(g[device] for g in gradient), plain_gradient_of_weights(name))

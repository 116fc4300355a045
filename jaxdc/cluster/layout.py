"""How the rows of a matrix lie on the devices, and moves between two layouts of it.

An array on several devices is cut into equal parts, so rows can be shared out only if the devices divide their
number. A matrix of any other number of rows is cut over its columns while it waits, if the devices divide those,
and brought to rows, with a few zero rows at the end, by the function that works on it: each device sends and
receives its share once, a piece at a time. What can't be cut either way is on every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

ROWS = "rows"
AT_A_TIME = 2**24  # values that a device sends at a time, when a matrix moves


class Cut(NamedTuple):
    """How a function shares out the rows of a matrix.

    Attributes:
      n_shares: number of contiguous shares.
      mesh: mesh of one axis, "rows", with a device for each share; None if there is one device, or if the matrix
        is traced and the devices are unknown.
      moves: whether the matrix lies otherwise, and has to be brought to rows.
    """

    n_shares: int
    mesh: Mesh | None = None
    moves: bool = False


def cut_of(x: jax.Array | np.ndarray) -> Cut:
    """As the matrix lies: its own shares, or one for each device if it is cut over its columns.

    When traced, as many as the devices allow. A replicated matrix is one share: every device works on all of it.
    So is NumPy's, of which each device gets a copy.
    """
    if isinstance(x, np.ndarray):
        return Cut(1)
    n = x.shape[0]
    if isinstance(x, Tracer):
        return Cut(math.gcd(n, jax.device_count()))
    sharding = x.sharding
    shard = sharding.shard_shape(x.shape)
    if not isinstance(sharding, NamedSharding):
        return Cut(n // shard[0])
    whole = cut_over(_devices_of(sharding))
    if shard[1:] != x.shape[1:]:
        return whole._replace(moves=True)
    in_order = _names(sharding.spec) == sharding.mesh.axis_names and whole.n_shares > 1
    return whole if in_order and n // shard[0] == whole.n_shares else Cut(n // shard[0])


def cut_over(mesh: Mesh) -> Cut:
    """A share for each device of a mesh, in its order."""
    return Cut(mesh.size, Mesh(mesh.devices.reshape(-1), (ROWS,), axis_types=(AxisType.Auto,)))


def _devices_of(sharding: NamedSharding) -> Mesh:
    assert isinstance(sharding.mesh, Mesh)  # of an array that is there
    return sharding.mesh


def _names(spec: PartitionSpec) -> tuple[str, ...]:
    """The mesh axes over which the leading axis is cut."""
    first = spec[0] if len(spec) else None
    return () if first is None else (first,) if isinstance(first, str) else tuple(first)


def sharding_of(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    """Where a matrix ``[n, d]`` of all samples lies: over its rows, or its columns, or on every device.

    Over the rows if the devices divide n, else over the columns if they divide d.
    """
    if shape[0] % mesh.size == 0:
        return NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    return over_columns(shape, mesh) or NamedSharding(mesh, PartitionSpec())


def like(x: jax.Array | np.ndarray, shape: tuple[int, ...]) -> Sharding | None:
    """Where a matrix of this shape lies on the devices of ``x``; None, where JAX puts it, if ``x`` is NumPy's."""
    if isinstance(x, np.ndarray):
        return None
    return sharding_of(shape, _devices_of(x.sharding)) if isinstance(x.sharding, NamedSharding) else x.sharding


def over_columns(shape: tuple[int, ...], mesh: Mesh) -> NamedSharding | None:
    """Over the columns ``[n, d]``; None if the devices do not divide d."""
    # Not over some of the devices with copies on the others: that takes a mesh of two axes, on which what JAX
    # makes of the matrix outside ``jit`` does not go together with arrays on this one.
    return None if shape[1] % mesh.size else NamedSharding(mesh, PartitionSpec(None, mesh.axis_names))


def to_rows(x: jax.Array, cut: Cut, each: Callable[[jax.Array], jax.Array] | None = None) -> jax.Array:
    """``[n, ...]`` -> ``[s m, ...]`` over the rows, with ``s m - n`` zero rows at the end. To be traced.

    ``each`` is applied to rows ``[c, ...]`` and acts on each of them; here, what moves is not copied for it.
    """
    n, s = x.shape[0], cut.n_shares
    m = -(-n // s)  # rows of a share
    found = over_columns(x.shape, cut.mesh) if cut.moves and cut.mesh is not None else None
    if cut.mesh is not None and found is not None:
        d, dtype = x.shape[1], x.dtype if each is None else jax.eval_shape(each, x).dtype

        def move(part):  # [n, d / s] -> [m, d]
            def send(rows, out):
                some = part.at[rows].get(mode="fill", fill_value=0)  # [s, c, d / s]
                every = jax.lax.all_to_all(some, ROWS, 0, 2, tiled=True)[0]  # [c, d]
                if each is not None:
                    samples = rows[jax.lax.axis_index(ROWS)] < n
                    every = jnp.where(samples[:, None], each(every), 0)
                return jax.lax.dynamic_update_slice_in_dim(out, every, rows[0, 0], 0)

            return _in_pieces(send, jnp.zeros((m, d), dtype), s, m, d)

        x = jax.lax.with_sharding_constraint(x, found)
        return jax.shard_map(move, mesh=cut.mesh, in_specs=found.spec, out_specs=PartitionSpec(ROWS))(x)
    x = x if each is None else each(x)
    if s * m != n:
        x = jnp.pad(x, ((0, s * m - n), *((0, 0) for _ in x.shape[1:])))
    if cut.mesh is None:
        return x
    return jax.lax.with_sharding_constraint(x, NamedSharding(cut.mesh, PartitionSpec(ROWS)))


def from_rows(x: jax.Array, n: int, cut: Cut) -> jax.Array:
    """``[s m, ...]`` over the rows -> ``[n, ...]``: as it is if that is all, else over its columns. To be traced.

    A vector, or a matrix whose columns the devices do not divide, comes to every device.
    """
    if x.shape[0] == n:
        return x
    found = None if cut.mesh is None or x.ndim != 2 else over_columns(x.shape, cut.mesh)
    if found is None:
        if cut.mesh is not None:
            x = jax.lax.with_sharding_constraint(x, NamedSharding(cut.mesh, PartitionSpec()))
        return x[:n]
    s, d = cut.n_shares, x.shape[1]

    def move(part):  # [m, d] -> [n, d / s]
        def send(rows, out):
            some = jax.lax.dynamic_slice_in_dim(part, rows[0, 0], rows.shape[1], 0)  # [c, d]
            mine = jax.lax.all_to_all(some[None], ROWS, 2, 0, tiled=True)  # [s, c, d / s]
            return out.at[rows].set(mine, mode="drop")

        return _in_pieces(send, jnp.zeros((n, d // s), x.dtype), s, len(part), d)

    return jax.shard_map(move, mesh=cut.mesh, in_specs=PartitionSpec(ROWS), out_specs=found.spec)(x)


def _in_pieces(send: Callable, out: jax.Array, s: int, m: int, d: int) -> jax.Array:
    """A device's part of a matrix of d columns in its new layout: c rows of each of the s shares [m, d] at a time.

    ``send`` is (rows [s, c] of the matrix, out) -> out with these rows; first, ``out`` is zeros. All pieces are of
    the same size, so the last one repeats rows of the one before.
    """
    c = min(max(AT_A_TIME // d, 1), m)

    def piece(i, out):
        own = jnp.minimum(i * c, m - c) + jnp.arange(c)
        return send(m * jnp.arange(s)[:, None] + own[None, :], out)

    return jax.lax.fori_loop(0, -(-m // c), piece, jax.lax.pcast(out, ROWS, to="varying"))


def by_rows(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """``function(x)``, of a function that acts on each row ``[n, d] -> [n, e]``, outside ``jit``.

    A matrix that is cut over its columns is brought to rows for it, and what it gives is brought back. Otherwise a
    product would leave all of its rows on every device.
    """
    cut = cut_of(x)
    if not cut.moves:
        return function(x)
    return _from_rows(function(_to_rows(x, cut)), len(x), cut)


_to_rows = jax.jit(to_rows, static_argnums=1)
_from_rows = jax.jit(from_rows, static_argnums=(1, 2))

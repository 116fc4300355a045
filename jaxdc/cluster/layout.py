"""How the rows of a matrix lie on the devices, and moves between two layouts of it.

An array on several devices is cut into equal parts, so rows can be shared out only if the devices divide their
number. A matrix of any other number of rows is cut over its columns while it waits, and brought to rows, with a
few zero rows at the end, by the function that works on it: each device sends and receives its share once.
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
_COLUMNS, _COPIES = "columns", "copies"


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


def cut_of(x: jax.Array) -> Cut:
    """As the matrix lies: its own shares, or one for each device if it is cut over its columns.

    When traced, as many as the devices allow. A replicated matrix is one share: every device works on all of it.
    """
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
    """Where a matrix ``[n, d]`` of all samples lies: over the rows if the devices divide n, else over the columns.

    On every device if no two of them divide d either.
    """
    if shape[0] % mesh.size == 0:
        return NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    return over_columns(shape, mesh.devices.reshape(-1)) or NamedSharding(mesh, PartitionSpec())


def like(x: jax.Array, shape: tuple[int, ...]) -> Sharding:
    """Where a matrix of this shape lies on the devices of ``x``."""
    return sharding_of(shape, _devices_of(x.sharding)) if isinstance(x.sharding, NamedSharding) else x.sharding


def over_columns(shape: tuple[int, ...], devices: np.ndarray) -> NamedSharding | None:
    """Over the columns ``[n, d]``, as far as the devices divide d; None if no two do."""
    n_parts = math.gcd(shape[1], devices.size)
    if n_parts == 1:
        return None
    mesh = Mesh(devices.reshape(n_parts, -1), (_COLUMNS, _COPIES), axis_types=(AxisType.Auto,) * 2)
    return NamedSharding(mesh, PartitionSpec(None, _COLUMNS))


def to_rows(x: jax.Array, cut: Cut) -> jax.Array:
    """``[n, ...]`` -> ``[s m, ...]`` over the rows, with ``s m - n`` zero rows at the end. To be traced."""
    n, s = x.shape[0], cut.n_shares
    m = -(-n // s)
    if s * m != n:
        x = jnp.pad(x, ((0, s * m - n), *((0, 0) for _ in x.shape[1:])))
    if cut.mesh is None:
        return x
    by_row = NamedSharding(cut.mesh, PartitionSpec(ROWS))
    found = over_columns(x.shape, cut.mesh.devices) if cut.moves else None
    if found is not None:
        n_parts = found.mesh.shape[_COLUMNS]

        def move(part):  # [s m, d / p]
            blocks = part.reshape(n_parts, s // n_parts, m, part.shape[1])
            mine = jax.lax.dynamic_index_in_dim(blocks, jax.lax.axis_index(_COPIES), 1, keepdims=False)
            return jax.lax.all_to_all(mine, _COLUMNS, 0, 2, tiled=True)[0]

        x = jax.lax.with_sharding_constraint(x, found)
        spec = PartitionSpec((_COLUMNS, _COPIES))
        x = jax.shard_map(move, mesh=found.mesh, in_specs=found.spec, out_specs=spec)(x)
    return jax.lax.with_sharding_constraint(x, by_row)


def from_rows(x: jax.Array, n: int, cut: Cut) -> jax.Array:
    """``[s m, ...]`` over the rows -> ``[n, ...]``: as it is if that is all, else over its columns. To be traced.

    A vector, or a matrix whose columns the devices do not divide, comes to every device.
    """
    if x.shape[0] == n:
        return x
    found = None if cut.mesh is None or x.ndim != 2 else over_columns(x.shape, cut.mesh.devices)
    if found is None:
        if cut.mesh is not None:
            x = jax.lax.with_sharding_constraint(x, NamedSharding(cut.mesh, PartitionSpec()))
        return x[:n]
    n_parts = found.mesh.shape[_COLUMNS]

    def move(part):  # [m, d]
        mine = jax.lax.all_to_all(part[None], _COLUMNS, 2, 0, tiled=True)  # [p, m, d / p]
        if n_parts < cut.n_shares:
            mine = jax.lax.all_gather(mine, _COPIES, axis=1)
        return mine.reshape(-1, mine.shape[-1])

    # Every copy is the same, which the compiler can't know of what was gathered.
    spec = PartitionSpec((_COLUMNS, _COPIES))
    moved = jax.shard_map(move, mesh=found.mesh, in_specs=spec, out_specs=found.spec, check_vma=False)(x)
    return moved[:n]


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

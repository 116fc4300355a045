"""Operations on the global batch, from the part that a device holds.

There are four cases. Under plain ``jit`` a function sees the whole batch, and the compiler inserts the
collectives. On a mesh with Explicit axes it also sees the whole batch, but the result of a product or a
gather over the split axis must be placed by hand. Inside ``shard_map`` or ``pmap``, with ``axis_name``, it
sees one device's block. And under plain ``jit`` within ``split_over``, as in training, a loss that gathers the
batch does so itself within ``shard_map``: the gradient of a gathering is then scattered while it is summed, where
the compiler would send all of it to every device.

Sums are psums, so their results are known to be equal on all devices; nothing here needs a custom
gradient rule.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_SPLIT: ContextVar[Mesh | None] = ContextVar("split", default=None)


@contextlib.contextmanager
def split_over(mesh: Mesh) -> Iterator[None]:
    """While this lasts, batches of what is traced are split over the only axis of the mesh."""
    token = _SPLIT.set(mesh)
    try:
        yield
    finally:
        _SPLIT.reset(token)


def split_mesh(n_rows: int, axis_name: str | None) -> Mesh | None:
    """The mesh over which a batch of so many rows is split; None if there is none, or inside ``shard_map``."""
    mesh = _SPLIT.get()
    if axis_name is not None or mesh is None or mesh.size == 1 or n_rows % mesh.size:
        return None
    return mesh


def on_each(loss: Callable[..., jax.Array], mesh: Mesh, *rows: jax.Array) -> jax.Array:
    """``loss(*rows, axis_name=...)`` [b] on the rows of each device."""
    (axis,) = mesh.axis_names
    split = PartitionSpec(axis)

    def own(*rows):
        return loss(*rows, axis_name=axis)

    return jax.shard_map(own, mesh=mesh, in_specs=split, out_specs=split)(*rows)


def all_rows(x: jax.Array, axis_name: str | None, *, axis: int = 0) -> jax.Array:
    """The rows of the global batch, in order, for each device to compare its own rows with."""
    if axis_name is not None:
        return jax.lax.all_gather(x, axis_name, axis=axis, tiled=True)
    return on_all(x)


def equal_rows(x: jax.Array, axis_name: str | None) -> jax.Array:
    """The same for replicated state, as a psum so that the result is known to be equal on all devices."""
    if axis_name is None:
        return on_all(x)
    n_devices = jax.lax.axis_size(axis_name)
    rows = jnp.zeros((n_devices * x.shape[0], *x.shape[1:]), x.dtype)
    start = jax.lax.axis_index(axis_name) * x.shape[0]
    return jax.lax.psum(jax.lax.dynamic_update_slice_in_dim(rows, x, start, 0), axis_name)


def row_numbers(n_local: int, axis_name: str | None) -> jax.Array:
    """Indices of this device's rows in the global batch: [n_local], int32."""
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * n_local
    return first + jnp.arange(n_local, dtype=jnp.int32)


def n_rows(n_local: int, axis_name: str | None) -> int:
    """Size of the global batch."""
    return n_local if axis_name is None else n_local * jax.lax.axis_size(axis_name)


def total(x: jax.Array, axis_name: str | None) -> jax.Array:
    """The sum over devices of their local sums."""
    return x if axis_name is None else jax.lax.psum(x, axis_name)


def gram(x: jax.Array, y: jax.Array, axis_name: str | None) -> jax.Array:
    """``x^T y`` over the global batch: [b, i], [b, j] -> [i, j], at full float32 precision."""
    product = jnp.einsum(
        "bi,bj->ij", x, y, precision=jax.lax.Precision.HIGHEST, out_sharding=_explicit(x, PartitionSpec())
    )
    return total(product, axis_name)


def take_rows(table: jax.Array, index: jax.Array) -> jax.Array:
    """``table[index]``, with each row placed where its index is."""
    rows = PartitionSpec(*jax.typeof(index).sharding.spec, *(None for _ in table.shape[1:]))
    return table.at[index].get(out_sharding=_explicit(index, rows), mode="clip")


def on_all(x: jax.Array) -> jax.Array:
    """Replicates ``x`` on an Explicit mesh; otherwise returns it unchanged."""
    sharding = _explicit(x, PartitionSpec())
    return x if sharding is None else jax.sharding.reshard(x, sharding)


def _explicit(x: jax.Array, spec: PartitionSpec) -> NamedSharding | None:
    mesh = jax.typeof(x).sharding.mesh
    return NamedSharding(mesh, spec) if AxisType.Explicit in mesh.axis_types else None

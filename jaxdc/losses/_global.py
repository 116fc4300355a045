"""Operations on the global batch, from the part that a device holds.

There are three cases. Under plain ``jit`` a function sees the whole batch, and the compiler inserts the
collectives. On a mesh with Explicit axes it also sees the whole batch, but the result of a product or a
gather over the split axis must be placed by hand. Inside ``shard_map`` or ``pmap``, with ``axis_name``, it
sees one device's block.

Sums are psums, so their results are known to be equal on all devices; nothing here needs a custom
gradient rule.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec


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

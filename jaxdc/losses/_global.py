"""The global batch, from whatever part of it a device holds.

Three situations, one set of words. Under plain ``jit`` a function sees the whole batch and the
compiler places the collectives. On a mesh of Explicit axes it sees the whole batch too, but the
result of a product or a gather over the split axis must be placed by hand. Inside ``shard_map`` or
``pmap``, where ``axis_name`` is given, it sees one device's block.

Sums are psums, so that their results are known to be equal on all devices; nothing here needs a
special rule for its gradient.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def all_rows(x: jax.Array, axis_name: str | None, *, axis: int = 0) -> jax.Array:
    """The rows of the global batch, in order: what every device compares its own rows with."""
    if axis_name is not None:
        return jax.lax.all_gather(x, axis_name, axis=axis, tiled=True)
    return on_all(x)


def equal_rows(x: jax.Array, axis_name: str | None) -> jax.Array:
    """The same, for state that every device keeps: known to be equal on all, and so a psum."""
    if axis_name is None:
        return on_all(x)
    n_devices = jax.lax.axis_size(axis_name)
    rows = jnp.zeros((n_devices * x.shape[0], *x.shape[1:]), x.dtype)
    start = jax.lax.axis_index(axis_name) * x.shape[0]
    return jax.lax.psum(jax.lax.dynamic_update_slice_in_dim(rows, x, start, 0), axis_name)


def row_numbers(n_local: int, axis_name: str | None) -> jax.Array:
    """Places of this device's rows within the global batch: [n_local], int32."""
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * n_local
    return first + jnp.arange(n_local, dtype=jnp.int32)


def n_rows(n_local: int, axis_name: str | None) -> int:
    """Size of the global batch."""
    return n_local if axis_name is None else n_local * jax.lax.axis_size(axis_name)


def total(x: jax.Array, axis_name: str | None) -> jax.Array:
    """The sum over the devices of what each has summed over its own rows."""
    return x if axis_name is None else jax.lax.psum(x, axis_name)


def gram(x: jax.Array, y: jax.Array, axis_name: str | None) -> jax.Array:
    """``x^T y`` over the global batch: [b, i], [b, j] -> [i, j], at full float32 precision."""
    product = jnp.einsum(
        "bi,bj->ij", x, y, precision=jax.lax.Precision.HIGHEST, out_sharding=_explicit(x, PartitionSpec())
    )
    return total(product, axis_name)


def take_rows(table: jax.Array, index: jax.Array) -> jax.Array:
    """``table[index]``, each row where its index lies."""
    rows = PartitionSpec(*jax.typeof(index).sharding.spec, *(None for _ in table.shape[1:]))
    return table.at[index].get(out_sharding=_explicit(index, rows), mode="clip")


def on_all(x: jax.Array) -> jax.Array:
    """``x`` on every device of an Explicit mesh; elsewhere as it is."""
    sharding = _explicit(x, PartitionSpec())
    return x if sharding is None else jax.sharding.reshard(x, sharding)


def _explicit(x: jax.Array, spec: PartitionSpec) -> NamedSharding | None:
    mesh = jax.typeof(x).sharding.mesh
    return NamedSharding(mesh, spec) if AxisType.Explicit in mesh.axis_types else None

"""A memory bank whose rows are shared out over the devices that train."""

from __future__ import annotations

import jax
from jax.sharding import PartitionSpec

from jaxdc import losses
from jaxdc.cluster import layout
from jaxdc.losses import _global


def discriminate(
    z: jax.Array, memory_bank: jax.Array, index: jax.Array, *, temperature: float, momentum: float
) -> tuple[jax.Array, jax.Array]:
    """``losses.instance_discrimination`` [b] among the bank [n, d], and the updated bank.

    In training each device keeps a share of the rows, compares the whole batch with it, and updates it.
    """
    mesh = _global.split_mesh(z.shape[0], None)
    if mesh is None:
        loss = losses.instance_discrimination(z, memory_bank, index, temperature=temperature)
        return loss, losses.update_memory_bank(memory_bank, z, index, momentum=momentum)
    n, cut = memory_bank.shape[0], layout.cut_over(mesh)

    def own(z, share, index):
        place = {"axis_name": layout.ROWS, "n_samples": n}
        loss = losses.instance_discrimination(z, share, index, temperature=temperature, **place)
        return loss, losses.update_memory_bank(share, z, index, momentum=momentum, **place)

    rows, split = layout.to_rows(memory_bank, cut._replace(moves=n % mesh.size > 0)), PartitionSpec(layout.ROWS)
    loss, rows = jax.shard_map(own, mesh=cut.mesh, in_specs=split, out_specs=split)(z, rows, index)
    return loss, layout.from_rows(rows, n, cut)

"""Devices and processes: the only file that says "mesh"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxdc.errors import InputError

AXIS = "data"


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """All devices on one axis, "data", of type Auto: the compiler places the collectives."""
    devices = jax.devices() if devices is None else list(devices)
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds all of it: parameters, bank, resident data."""
    return NamedSharding(mesh, PartitionSpec())


def by_sample(mesh: Mesh) -> NamedSharding:
    """The leading axis is cut into one block a device: batches."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts host values, equal on all processes, on every device."""
    if jax.process_count() == 1:
        return jax.device_put(tree, replicated(mesh))
    return jax.tree.map(lambda x: _replicate_over_processes(x, replicated(mesh)), tree)


def _replicate_over_processes(x: Any, sharding: NamedSharding) -> jax.Array:
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        return x if x.sharding == sharding else jax.jit(lambda x: x, out_shardings=sharding)(x)
    if isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = _replicate_over_processes(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def batch_from_local(tree: Any, mesh: Mesh) -> Any:
    """Makes a global batch of the rows that each process has read."""
    sharding = by_sample(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises InputError where the batch can't be cut into equal blocks, one a device."""
    n = mesh.size
    if batch_size % n:
        lower, upper = batch_size // n * n, (batch_size // n + 1) * n
        sizes = f"{lower} or {upper}" if lower else f"{upper}"
        raise InputError(f"a batch of {batch_size} can't be divided among {n} devices; {sizes} can")


def gather(values: list[int]) -> list[list[int]]:
    """Every process's numbers, on every process: for decisions that depend on a clock, a signal or a disk."""
    if jax.process_count() == 1:
        return [values]
    return multihost_utils.process_allgather(np.array(values, np.int32)).tolist()


def wait_for_all(name: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def is_main_process() -> bool:
    """Whether this process writes files and prints."""
    return jax.process_index() == 0


def shard_of_process() -> tuple[int, int]:
    """(index of this process, number of processes), for the input pipeline."""
    return jax.process_index(), jax.process_count()

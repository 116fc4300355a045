"""Devices and processes: the only module that deals with meshes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxdc.errors import InputError

AXIS = "data"
_VALUES_AT_A_TIME = 2**24  # of an array on the way to the host


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """All devices on one axis, "data", of type Auto, so that the compiler inserts the collectives."""
    devices = jax.devices() if devices is None else list(devices)
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding with a full copy on every device, for parameters, queues and resident data."""
    return NamedSharding(mesh, PartitionSpec())


def by_sample(mesh: Mesh) -> NamedSharding:
    """Sharding with the leading axis cut into one block per device, for batches."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies host values, equal on all processes, to every device."""
    return put(tree, jax.tree.map(lambda _: replicated(mesh), tree))


def put(tree: Any, shardings: Any) -> Any:
    """Brings host values, equal on all processes, and arrays to where a tree like theirs says."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    return jax.tree.map(_put_over_processes, tree, shardings)


def _put_over_processes(x: Any, sharding: NamedSharding) -> jax.Array:
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        return x if x.sharding == sharding else jax.jit(lambda x: x, out_shardings=sharding)(x)
    if isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = _put_over_processes(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def batch_from_local(tree: Any, mesh: Mesh) -> Any:
    """Builds a global batch from the rows that each process read."""
    sharding = by_sample(mesh)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)


def to_host(x: jax.Array) -> np.ndarray:
    """The whole of an array, on the host of every process, all of which call this.

    ``np.asarray`` does this for what one process holds. Of several, each device receives a few rows at a time.
    """
    if x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    n_shares = x.shape[0] // x.sharding.shard_shape(x.shape)[0]
    shares = _shares(x, n_shares)
    m, width = shares.shape[1], max(math.prod(x.shape[1:]) * n_shares, 1)
    rows = min(max(_VALUES_AT_A_TIME // width, 1), m)
    take = _take(NamedSharding(x.sharding.mesh, PartitionSpec()), rows)  # pyright: ignore[reportAttributeAccessIssue]
    found = np.zeros(shares.shape, x.dtype)
    for start in (min(i, m - rows) for i in range(0, m, rows)):
        found[:, start : start + rows] = np.asarray(take(shares, np.int32(start)))
    return found.reshape(x.shape)


@functools.partial(jax.jit, static_argnums=1)
def _shares(x, n_shares):
    return x.reshape(n_shares, -1, *x.shape[1:])


@functools.cache
def _take(on_all, rows):
    """Some rows of every share, on every device."""
    return jax.jit(lambda x, start: jax.lax.dynamic_slice_in_dim(x, start, rows, axis=1), out_shardings=on_all)


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises InputError if the batch can't be cut into equal blocks, one per device."""
    n = mesh.size
    if batch_size % n:
        lower, upper = batch_size // n * n, (batch_size // n + 1) * n
        sizes = f"{lower} or {upper}" if lower else f"{upper}"
        raise InputError(f"a batch of {batch_size} can't be divided equally among {n} devices: use {sizes}")


def gather(values: list[int]) -> list[list[int]]:
    """Every process's numbers, on every process, for decisions that depend on a clock, a signal or a disk."""
    if jax.process_count() == 1:
        return [values]
    return multihost_utils.process_allgather(np.array(values, np.int32)).tolist()


def wait_for_all(name: str) -> None:
    """Returns once every process has called it."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def is_main_process() -> bool:
    """Whether this process writes files and prints."""
    return jax.process_index() == 0


def shard_of_process() -> tuple[int, int]:
    """(index of this process, number of processes), for input pipelines."""
    return jax.process_index(), jax.process_count()

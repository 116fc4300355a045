"""Device memory: how much a step needs, and what to do if it is too much."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from jaxdc.data import Source
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Stage
from jaxdc.train.state import TrainState

EMBED_BLOCK = 1024  # rows that a device embeds at a time


class Estimate(NamedTuple):
    """Bytes that a gradient step needs on each device, as planned by the compiler.

    Attributes:
      state: parameters, optimizer state and everything else kept between steps.
      data: the data set if it is resident, a batch if it is streamed.
      temporaries: activations, gradients and results.
      limit: memory of the device; None if unknown.
    """

    state: int
    data: int
    temporaries: int
    limit: int | None = None

    def __str__(self) -> str:
        parts = f"state {_size(self.state)}, data {_size(self.data)}, temporaries {_size(self.temporaries)}"
        return f"{parts}: {self.in_all()}"

    def in_all(self) -> str:
        """The sum, and the limit if known."""
        total = _size(self.state + self.data + self.temporaries)
        return total + (f" of {_size(self.limit)}" if self.limit else "")


def estimate(compiled: jax.stages.Compiled, state: TrainState, data: tuple[Any, ...]) -> Estimate | None:
    """Memory of a compiled step for this state and data; None if the backend does not report it.

    State and data are counted in full: the compiler leaves out arguments that the step does not use.
    """
    analysis = compiled.memory_analysis()
    if analysis is None:
        return None
    # The state is donated, so results that reuse its buffers are already counted.
    results = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    mesh = jax.tree.leaves(state)[0].sharding.mesh
    return Estimate(
        state=_bytes_on_a_device(state),
        data=_bytes_on_a_device(data),
        temporaries=analysis.temp_size_in_bytes + max(results, 0),
        limit=_told_by(mesh),
    )


def device_limit(mesh: Mesh) -> int | None:
    """Bytes available on each device; for a CPU, its share of the machine's memory. None if unknown."""
    told = _told_by(mesh)
    if told is not None or mesh.local_devices[0].platform != "cpu":
        return told
    try:
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        return None
    with contextlib.suppress(OSError, ValueError):  # a container may have less; "max" is no number
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits) // len(mesh.local_devices)


def check_fits(method: Method, n_samples: int, mesh: Mesh) -> None:
    """Raises InputError if memory that grows faster than the data exceeds a device; says how many samples fit."""
    limit = device_limit(mesh)
    if limit is None or method.device_bytes(n_samples) <= limit:
        return
    fits, too_many = 0, n_samples
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if method.device_bytes(middle) <= limit else (fits, middle)
    raise InputError(
        f"{n_samples:,} samples are too many for {type(method).__name__}, whose memory grows faster than their "
        f"number: it needs {_size(method.device_bytes(n_samples))} on each device, which has {_size(limit)}; "
        f"use at most {fits:,} samples"
    )


def check_state_fits(state: TrainState, method: Method, mesh: Mesh) -> None:
    """Raises InputError if parameters, optimizer state and the rest of a state exceed a device."""
    limit, needed = device_limit(mesh), _bytes_on_a_device(state)
    if limit is not None and needed > limit:
        raise InputError(
            f"the network of {type(method).__name__} and the state of its optimizer take {_size(needed)} on each "
            f"device, which has {_size(limit)}: use narrower layers"
        )


def check_samples_fit(source: Source, mesh: Mesh) -> None:
    """Raises InputError if the samples that a device embeds at a time exceed it."""
    limit, block = device_limit(mesh), min(EMBED_BLOCK, source.n_samples)
    needed = 4 * block * math.prod(source.shape)
    if limit is not None and needed > limit:
        raise InputError(
            f"{block:,} samples of {'x'.join(map(str, source.shape))} take {_size(needed)} on each device, which "
            f"has {_size(limit)}: use {'a smaller --image-size' if len(source.shape) == 3 else 'fewer columns'}"
        )


def _told_by(mesh: Mesh) -> int | None:
    return (mesh.local_devices[0].memory_stats() or {}).get("bytes_limit")


@contextlib.contextmanager
def exhaustion_is_an_input_error(advice: Callable[[], str]) -> Iterator[None]:
    """Turns a device's out-of-memory error, wherever it is raised, into one sentence."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        if "RESOURCE_EXHAUSTED" not in text and "out of memory" not in text.lower():
            raise
        raise InputError(advice()) from error


def advice(i: int, stage: Stage, *, resident: bool, estimate: Estimate | None, copies: bool = False) -> str:
    """Advice for a stage that ran out of device memory; copies of images are never streamed."""
    method = type(stage.method).__name__
    taken = "" if estimate is None else f" (a step takes {estimate} on each device)"
    remedies = []
    if stage.method.full_batch:
        return (
            f"the device ran out of memory in stage {i + 1}, {method}{taken}: every step takes all samples, so "
            "use fewer samples, or a device with more memory"
        )
    if stage.n_steps(1):
        remedies.append(f"a --batch-size below {stage.batch_size}")
    if copies:
        remedies.append("fewer --copies")
    elif resident:
        remedies.append("--resident-gib 0, which streams the data instead of keeping them on the device")
    if getattr(getattr(stage.method, "backbone", None), "dtype", None) == "float32":
        remedies.append("--backbone.dtype bfloat16")
    if getattr(stage.method, "block_size", 0) is None:
        remedies.append("--block-size 128, which computes the contrastive loss in blocks")
    remedies.append("more devices, which share the batch")
    *first, last = remedies
    helps = f"{', '.join(first)}, or {last}" if first else last
    return f"the device ran out of memory in stage {i + 1}, {method}{taken}: try {helps}"


def _bytes_on_a_device(tree: Any) -> int:
    n_bytes = 0
    for leaf in jax.tree.leaves(tree):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            if isinstance(leaf, jax.ShapeDtypeStruct):
                continue  # a few bytes
            leaf = jax.random.key_data(leaf)
        n_bytes += math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    return n_bytes


def _size(n: int) -> str:
    return f"{n / 2**30:.1f} GiB" if n >= 2**30 else f"{n / 2**20:.1f} MiB"

"""Checks that a stage can run on the given data and devices, before it starts."""

from __future__ import annotations

from jax.sharding import Mesh

from jaxdc.data import Source
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Stage
from jaxdc.train import memory


def check_stage(stage: Stage, spec: DataSpec, mesh: Mesh) -> None:
    """Raises InputError if a stage can't run on this data or on these devices."""
    if spec.dtype == "int32" and not stage.method.reads_tokens:
        raise InputError(
            f"{type(stage.method).__name__} needs vectors, but these samples are token ids: vectorise the "
            "texts, for example with --vectors embedding"
        )
    k, n, n_reported = stage.method.n_clusters, spec.n_samples, spec.n_reported or spec.n_samples
    if k > n_reported and not stage.method.finds_n_clusters:
        most = f"n_clusters must be from 2 to {n_reported}" if n_reported > 1 else "it takes 2 samples at least"
        raise InputError(f"can't make {k} clusters from {n_reported} samples: {most}")
    if n < mesh.size:
        raise InputError(f"{n} samples are fewer than the {mesh.size} devices: use fewer devices")
    memory.check_fits(stage.method, n, mesh)
    stage.method.check_files(spec)
    batch_size = stage.batch_for(n)
    if stage.n_steps(n) == 0:
        return
    if stage.n_steps(n) >= 2**31:
        raise InputError(f"{stage.n_steps(n):,} steps are too many to be counted in 32 bits: use fewer epochs")
    if n < batch_size:
        raise InputError(f"{n} samples are fewer than a batch of {batch_size}; use a batch size of {n} or less")
    if not stage.method.full_batch:  # otherwise the compiler pads the last device's block
        sharding.check_batch_size(batch_size, mesh)
    stage.method.check_batch_size(batch_size, spec)
    stage.method.check_length(stage.n_steps(n) / stage.steps_per_epoch(n))


def check_resident(stage: Stage, source: Source) -> None:
    """Raises InputError if a stage needs all samples at once but they are streamed."""
    if (stage.method.full_batch or stage.method.embeds_together) and source.array is None:
        raise InputError(
            f"every step of {type(stage.method).__name__} takes all samples, but {source.name} is streamed: "
            "raise --resident-gib above its size to keep it on the device"
        )

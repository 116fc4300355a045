"""What has to be settled before a run can start: the samples, the stages, the devices."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

from jax.sharding import Mesh

from jaxdc.distributed import hosts, sharding
from jaxdc.data import Source, StandardizedSource
from jaxdc.data.text import TextSource
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Method
from jaxdc.methods.base import Experiment, Schedule
from jaxdc.runs.config import own_classes, spec_for
from jaxdc.runs.copies import with_copies
from jaxdc.runs.result import as_source, load
from jaxdc.train.state import Handover


class Prepared(NamedTuple):
    """A run that may start.

    Attributes:
      source: the samples, standardized and with copies where that was asked for.
      spec: what the methods know of them.
      experiment: the stages.
      recipe: their name.
      start: what the first stage takes over, from a saved run.
      mesh: the devices.
      vectorize_seconds: how long the texts took to become vectors, if these are texts.
    """

    source: Source
    spec: DataSpec
    experiment: Experiment
    recipe: str
    start: Handover | None
    mesh: Mesh
    vectorize_seconds: float | None


def prepare(
    method: Method | Experiment,
    x: Any,
    labels_true: Any = None,
    *,
    recipe: str = "fast",
    seed: int = 0,
    init_from: str | Path | None = None,
    standardize: bool = False,
    copies: int = 0,
    resident_bytes: int = 2**31,
    schedule: Schedule | None = None,
    devices: Sequence[Any] | None = None,
) -> Prepared:
    """Settles it; arguments and errors are those of ``fit``."""
    if not isinstance(method, Method | Experiment):
        said = f"the class {method.__name__}" if isinstance(method, type) else repr(method)
        raise InputError(f"what to train must be an object, such as DEC(n_clusters=10), but is {said}")
    if not isinstance(seed, Integral):
        raise InputError(f"a seed must be a whole number, but is {seed!r}")
    source = as_source(x, labels_true)
    vectorize_seconds = source.vectorize_seconds if isinstance(source, TextSource) else None
    if standardize or source.views is not None:  # views come in units of their own
        source = StandardizedSource.of(source)
    if source.inexact:
        raise InputError(
            f"{source.name} can't be clustered as it is: {source.inexact}; subtract a constant or rescale, or bring "
            "every column to mean 0 and variance 1 with --standardize"
        )
    if copies:
        last = method.stages[-1].method if isinstance(method, Experiment) else method
        source = with_copies(source, last, copies, seed=seed, resident_bytes=resident_bytes)
    spec = spec_for(source)
    if isinstance(method, Experiment):
        experiment, recipe = method, "custom"
    else:
        experiment = Experiment(method.stages(recipe, spec))
    start = None
    if init_from is not None:
        own = own_classes(method if isinstance(method, Experiment) else experiment)
        before = load(init_from, devices=devices, methods=own)
        start, experiment = before.handover(str(init_from)), experiment.after(before.method)
    if schedule is not None:
        experiment = schedule.apply(experiment)
    experiment = experiment.of_known_length(spec)
    hosts.check_joined()
    return Prepared(source, spec, experiment, recipe, start, sharding.make_mesh(devices), vectorize_seconds)

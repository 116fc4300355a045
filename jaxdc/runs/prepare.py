"""Settles everything before a run starts: samples, stages, devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxdc import augment
from jaxdc.data import Source, StandardizedSource
from jaxdc.data.text import TextSource
from jaxdc.distributed import hosts, sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Method, Schedule
from jaxdc.runs.config import own_classes, spec_for
from jaxdc.runs.copies import with_copies
from jaxdc.runs.result import as_source, load
from jaxdc.settings import seed_of
from jaxdc.train import memory
from jaxdc.train.state import Handover


class Prepared(NamedTuple):
    """A run that is ready to start.

    Attributes:
      source: the samples, standardized and with copies if requested.
      spec: the data specification for the methods.
      experiment: the stages.
      recipe: name of the recipe.
      start: what the first stage takes over from a saved run.
      mesh: the devices.
      vectorize_seconds: seconds it took to vectorise the texts, if the samples are texts.
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
    """Prepares a run; arguments and errors are those of ``fit``."""
    if not isinstance(method, Method | Experiment):
        said = f"the class {method.__name__}" if isinstance(method, type) else repr(method)
        raise InputError(f"method must be an instance, such as DEC(n_clusters=10), but is {said}")
    seed = seed_of(seed)
    source = as_source(x, labels_true)
    vectorize_seconds = source.vectorize_seconds if isinstance(source, TextSource) else None
    if standardize or source.views is not None:  # each view has its own units
        source = StandardizedSource.of(source)
    if source.inexact:
        raise InputError(
            f"{source.name} can't be clustered as it is: {source.inexact}; subtract a constant or rescale, or "
            "bring every column to mean 0 and variance 1 with --standardize"
        )
    if copies:
        last = method.stages[-1].method if isinstance(method, Experiment) else method
        source = with_copies(source, last, copies, seed=seed, resident_bytes=resident_bytes)
    hosts.check_joined()
    mesh = sharding.make_mesh(devices)
    memory.check_samples_fit(source, mesh)
    spec = spec_for(source)
    if isinstance(method, Experiment):
        experiment, recipe = method, "custom"
    else:
        experiment = Experiment(method.stages(recipe, spec))
    if source.sounds is not None:
        _check_views_of_sounds(source, experiment)
    if any(stage.method.images_only for stage in experiment.stages):
        _check_values_of_images(source)
    start = None
    if init_from is not None:
        own = own_classes(method if isinstance(method, Experiment) else experiment)
        before = load(init_from, devices=devices, methods=own)
        start, experiment = before.handover(str(init_from)), experiment.after(before.method)
        _check_same_samples(experiment, start, source)
    if schedule is not None:
        experiment = schedule.apply(experiment)
    experiment = experiment.of_known_length(spec)
    return Prepared(source, spec, experiment, recipe, start, mesh, vectorize_seconds)


def _check_same_samples(experiment: Experiment, start: Handover, source: Source) -> None:
    """Raises InputError if the first stage begins with the clusters of other samples."""
    first = experiment.stages[0].method
    if first.takes_clusters and start.data != source.fingerprint():
        raise InputError(
            f"{type(first).__name__} begins with the clusters of the same samples, but {start.name} clustered "
            f"others than {source.name}"
        )


def _check_views_of_sounds(source: Source, experiment: Experiment) -> None:
    """Raises InputError for views of photographs: a mirrored spectrogram is a recording played backwards."""
    of_images = augment.Weak | augment.Strong | augment.Digits | augment.Shifted
    for stage in experiment.stages:
        name = type(stage.method).__name__
        if getattr(stage.method, "augment", False):
            raise InputError(f"{name} would rotate {source.name}, which has recordings: leave out augment")
        views = getattr(stage.method, "augmentation", None)
        if isinstance(views, of_images):
            raise InputError(
                f"{name} would learn from {source.name}, which has recordings, by "
                f"{type(views).__name__}, which is for images: pass augmentation=jaxdc.augment.Spectrogram()"
            )


def _check_values_of_images(source: Source) -> None:
    """Raises InputError for floats that are no intensities: views of them would be cut off at 0 and 1."""
    if source.array is None or source.dtype == np.uint8 or len(source.shape) != 3:
        return
    low, high = float(source.array.min()), float(source.array.max())
    if low < 0 or high > 1.001:
        raise InputError(
            f"{source.name} has images with values from {low:g} to {high:g}, but views are made of intensities: "
            "give uint8, or floats from 0 to 1"
        )

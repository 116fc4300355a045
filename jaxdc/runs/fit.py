"""Clusters a data set in one call."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdc import metrics
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.float32 import in_float32
from jaxdc.methods.base import Experiment, Method, Schedule
from jaxdc.runs.config import describe_run, digest_of_run, own_classes
from jaxdc.runs.place import Place
from jaxdc.runs.prepare import Prepared, prepare
from jaxdc.runs.progress import Reporter, plain_console, scores
from jaxdc.runs.result import Result, load, result_of
from jaxdc.runs.trackers import Trackers
from jaxdc.runs.trackers import check as check_trackers
from jaxdc.settings import integer, number, seed_of
from jaxdc.train.labels import labels_of
from jaxdc.train.loop import Trainer
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.stage_run import Trained
from jaxdc.train.state import abstract_state


@in_float32
def fit(
    method: Method | Experiment,
    x: Any,
    labels_true: Any = None,
    *,
    recipe: str = "fast",
    seed: int = 0,
    workdir: str | Path | None = None,
    fresh: bool = False,
    from_last_good: bool = False,
    init_from: str | Path | None = None,
    standardize: bool = False,
    copies: int = 0,
    resident_bytes: int = 2**31,
    schedule: Schedule | None = None,
    progress: bool = False,
    checkpoint_seconds: float = 300.0,
    devices: Sequence[Any] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    track: Sequence[str] = (),
    probe_epochs: float | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Result:
    """Clusters a data set.

    Args:
      method: a method, trained with the named recipe, or an ``Experiment`` of your own stages.
      x: samples ``[n, d]`` (dense or a SciPy sparse matrix), images ``[n, height, width, channels]`` (uint8
        or floats), a list of texts, or a ``jaxdc.data.Source``.
      labels_true: classes ``[n]``, used only to add ACC, NMI and ARI to the metrics; training never sees them.
        A source has its own labels.
      recipe: ``"fast"``, ``"paper"`` for the paper's setting, or another of the method's ``recipe_names``.
      seed: random seed for initialisation, shuffling and augmentation; the same seed gives the same result.
      workdir: run folder. With one, checkpoints are saved, and the same call resumes an interrupted run.
      fresh: discard the run in the run folder.
      from_last_good: if checkpoints or results in the run folder are damaged, resume from the last good
        checkpoint.
      init_from: run folder of a finished run whose network initialises the first remaining stage: a pretext
        (SimCLR, AE, ...) for the methods that start from one. If its method is none of the stages', only the last
        stage alone is trained.
      standardize: scale the columns of a matrix to mean 0 and variance 1, also for new samples. Sources with
        several views are always standardized.
      copies: augmented copies of each image, made once and trained on too; results cover the originals only.
      resident_bytes: most bytes that images and their copies may take.
      schedule: overrides of the recipe's epochs, batch size and learning rate.
      progress: show a progress bar.
      checkpoint_seconds: minimum time between two checkpoints within a stage.
      devices: devices to train on (default: all).
      should_stop: polled during training; if it returns True, the run saves a checkpoint and raises
        ``jaxdc.train.stage_run.Stopped``.
      probe_epochs: epochs between two measurements of the features' kNN accuracy (half of each class votes on the
        other half), which are added to the history and never influence training. None disables them.
      flags: what a command was called with, kept in ``config.json``; it makes no difference to the run.
      track: experiment trackers to log to: "tensorboard", "wandb" and "mlflow"; they need a ``workdir``.

    Returns:
      The ``Result``: ``labels``, ``probabilities``, ``embeddings``, ``predict``, ``save``.

    Raises:
      InputError: a ValueError that says what is wrong with the data or the settings.

    Example:
      >>> import jaxdc, sklearn.datasets
      >>> x = sklearn.datasets.load_digits().images
      >>> result = jaxdc.fit(jaxdc.KMeans(n_clusters=10), x / 16)
      >>> result.labels.shape
      (1797,)
    """
    check_trackers(track)
    seed, resident_bytes = seed_of(seed), integer("resident_bytes", resident_bytes, at_least=0)
    checkpoint_seconds = number("checkpoint_seconds", checkpoint_seconds, at_least=0)
    if probe_epochs is not None:
        probe_epochs = number("probe_epochs", probe_epochs, above=0)
    run = prepare(
        method,
        x,
        labels_true,
        recipe=recipe,
        seed=seed,
        init_from=init_from,
        standardize=standardize,
        copies=copies,
        resident_bytes=resident_bytes,
        schedule=schedule,
        devices=devices,
    )
    if probe_epochs is not None and run.source.labels is None:
        raise InputError(f"{run.source.name} has no labels, which probe_epochs needs")
    console = plain_console() if progress and sharding.is_main_process() else None
    began_from = None if init_from is None else str(init_from)
    config = describe_run(run.experiment, run.source, run.spec, recipe=run.recipe, seed=seed, init_from=began_from)
    config |= {} if flags is None else {"flags": dict(flags)}
    folder = None if workdir is None else Path(workdir)
    reporter = Reporter(run.experiment, run.spec, run.source.labels, console=console)
    trainer = Trainer(
        run.experiment,
        run.source,
        run.spec,
        seed=seed,
        mesh=run.mesh,
        observer=reporter,
        folder=None if folder is None else folder / "checkpoints",
        checkpoint_seconds=checkpoint_seconds,
        should_stop=should_stop,
        start=run.start,
        probe_epochs=probe_epochs,
    )
    with contextlib.nullcontext() if folder is None else Place(folder) as place:
        if place is not None and place.begin(config, run, fresh=fresh):
            try:
                result = load(place.folder, devices=devices, methods=own_classes(run.experiment), edited=False)
            except InputError:
                if not from_last_good:
                    raise
                place.take_up(run)
            else:
                if console is not None:
                    console.print(f"the run in {folder} is already finished")
                return result
        if console is not None:
            if run.source.understood and run.source.opened is None:  # else it was said on opening
                console.print(f"{run.source.name}: {run.source.understood}")
            console.print(plan(run))
        trained = _train(trainer, reporter, place, config, track, from_last_good=from_last_good)
        found = figures(trained, run, reporter, seed)
        result = result_of(trained, run.experiment, config, found, reporter.history, run.source)
        if place is not None and place.writes:
            result.write(place.folder)
            if reporter.trackers is not None:
                reporter.trackers.finish(result.metrics)
        return result


def _train(
    trainer: Trainer,
    reporter: Reporter,
    place: Place | None,
    config: dict[str, Any],
    track: Sequence[str],
    *,
    from_last_good: bool,
) -> Trained:
    """Trains, reporting to the console, ``metrics.jsonl`` and the trackers."""
    try:
        if place is not None and place.writes:
            reporter.path = place.folder / "metrics.jsonl"
            stages = enumerate(trainer.experiment.stages, 1)
            groups = [f"stage {i} {type(stage.method).__name__}" for i, stage in stages]
            reporter.trackers = Trackers(track, place.folder, config["run"], groups, reporter.say)
        with reporter:
            digest = "" if place is None else digest_of_run(place.folder)
            return trainer.run(digest, from_last_good=from_last_good)
    except InputError:
        if place is not None:
            place.refused()
        raise


def figures(trained: Trained, run: Prepared, reporter: Reporter, seed: int) -> dict[str, Any]:
    """The content of ``metrics.json``: scores (if there are labels), sizes, protocol, time, warnings."""
    labels, labels_true = labels_of(trained.probabilities), run.source.labels
    seconds = trained.seconds
    speed = reporter.images_per_second() or run.spec.n_samples / max(seconds, 1e-9)
    found = {
        "method": type(trained.method).__name__,
        "recipe": run.recipe,
        "acc": None,
        "nmi": None,
        "ari": None,
        **scores(labels_true, labels),
        "purity": None if labels_true is None else metrics.purity_score(labels_true, labels),
        "n_samples": len(labels),
        "n_clusters": trained.probabilities.shape[1],
        "n_classes": None if labels_true is None else len(np.unique(labels_true)),
        "active_clusters": len(np.unique(labels[labels >= 0])),
        **({"n_noise": int((labels < 0).sum())} if (labels < 0).any() else {}),
        "protocol": f"{run.source.protocol}; {run.source.use}; one seed",
        "seed": seed,
        "seconds": round(seconds, 3),
        "images_per_second": round(speed, 1),
        "warnings": reporter.warnings,
    }
    if trained.alternatives and labels_true is not None:
        found["alternatives"] = {name: scores(labels_true, of) for name, of in trained.alternatives.items()}
    if run.vectorize_seconds is not None:
        share = run.vectorize_seconds / max(run.vectorize_seconds + seconds, 1e-9)
        found |= {"vectorize_seconds": round(run.vectorize_seconds, 3), "vectorize_share": round(share, 4)}
    return found


def plan(run: Prepared) -> str:
    """One line before the start: samples, parameters, steps, devices."""
    stages, spec = run.experiment.stages, run.spec
    total_steps = sum(stage.n_steps(stage.part_of(spec).n_samples) for stage in stages)
    names = " then ".join(type(stage.method).__name__.lstrip("_") for stage in stages)
    part = stages[-1].part_of(spec)
    _, state = abstract_state(stages[-1].method, make_optimizer(stages[-1], part.n_samples), part, run.mesh)
    n_parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
    shape = "x".join(map(str, spec.shape))
    kind = run.mesh.devices.flat[0].device_kind
    at_most = " at most" if any(stage.method.tolerance for stage in stages) else ""
    return (
        f"{run.source.name}: {spec.n_samples:,} samples of {shape} · {names} · {n_parameters:,} parameters · "
        f"{total_steps:,} steps{at_most} · {run.mesh.size} x {kind}"
    )

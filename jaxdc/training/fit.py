"""From a method and data to clusters, in one call."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxdc import metrics, sharding
from jaxdc.data import Source
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Method
from jaxdc.stages import Experiment, Schedule
from jaxdc.training import runfolder
from jaxdc.training.config import check_described, describe_run, own_classes
from jaxdc.training.loop import Trainer
from jaxdc.training.optimizer import make_optimizer
from jaxdc.training.prepare import prepare
from jaxdc.training.report import Reporter, plain_console, scores
from jaxdc.training.result import Result, load, result_of
from jaxdc.training.state import abstract_state
from jaxdc.training.tracking import Trackers
from jaxdc.training.tracking import check as check_trackers


def fit(
    method: Method | Experiment,
    x: Any,
    labels_true: Any = None,
    *,
    recipe: str = "fast",
    seed: int = 0,
    workdir: str | Path | None = None,
    fresh: bool = False,
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
) -> Result:
    """Clusters a data set.

    Args:
      method: a method, which is trained by its recipe, or an ``Experiment`` of your own stages.
      x: samples ``[n, d]``, dense or a sparse matrix of SciPy, or images ``[n, height, width, channels]`` (uint8,
        or floats), a list of texts, or a ``jaxdc.data.Source``.
      labels_true: classes ``[n]``. They only add ACC, NMI and ARI to the metrics; training never
        sees them. A source brings its own.
      recipe: ``"fast"``, ``"paper"`` for the paper's setting, or another of the method's ``recipe_names``.
      seed: of everything random; the same seed gives the same result.
      workdir: run folder. With one, checkpoints are kept, and the same call after a kill goes on.
      fresh: forget what the run folder holds.
      init_from: run folder of a finished run, whose network the stages after its own begin with: a pretext
        (SimCLR, AE, ...) for the methods that start from one. Where its method is none of the stages', the last
        stage alone is trained.
      standardize: bring the columns of a matrix to mean 0 and variance 1; new samples get the same. A source of
        several views always is.
      copies: augmented copies of each image to make once and to train on besides; results are of the originals.
      resident_bytes: that images and copies may take up.
      schedule: lengths, batch size and learning rate in place of the recipe's.
      progress: draw a progress bar.
      checkpoint_seconds: least time between two checkpoints within a stage.
      devices: to train on; by default all.
      should_stop: asked now and then; True writes a checkpoint and raises ``training.stage_run.Stopped``.
      probe_epochs: epochs between two measurements of the features' kNN accuracy, the vote of half of each class
        on the other half, which go to the history; training does not see them. None: none is taken.
      track: which of "tensorboard", "wandb" and "mlflow" are told of the run besides; they need a workdir.

    Returns:
      The ``Result``: ``labels``, ``probabilities``, ``embeddings``, ``predict``, ``save``.

    Raises:
      InputError: a ValueError whose message says what is wrong with the data or the settings.

    Example:
      >>> import jaxdc, sklearn.datasets
      >>> x = sklearn.datasets.load_digits().images
      >>> result = jaxdc.fit(jaxdc.KMeans(n_clusters=10), x / 16)
      >>> result.labels.shape
      (1797,)
    """
    check_trackers(track)
    if probe_epochs is not None and not 0 < probe_epochs < math.inf:
        raise InputError(f"probe_epochs must be above 0 and finite, but is {probe_epochs}")
    source, spec, experiment, recipe, start, mesh, vectorize_seconds = prepare(
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
    if probe_epochs is not None and source.labels is None:
        raise InputError(f"{source.name} has no labels, which the kNN accuracy of probe_epochs is measured with")
    console = plain_console() if progress and sharding.is_main_process() else None
    began_from = None if init_from is None else str(init_from)
    config = describe_run(experiment, source, spec, recipe=recipe, seed=seed, init_from=began_from)
    folder = None if workdir is None else Path(workdir)
    trainer_folder = None if folder is None else folder / "checkpoints"
    reporter = Reporter(experiment, spec, source.labels, console=console)
    trainer = Trainer(
        experiment,
        source,
        spec,
        seed=seed,
        mesh=mesh,
        reporter=reporter,
        folder=trainer_folder,
        checkpoint_seconds=checkpoint_seconds,
        should_stop=should_stop,
        start=start,
        probe_epochs=probe_epochs,
    )
    if folder is not None:
        check_described(config, experiment)
        finished = any(sharding.gather([runfolder.is_finished(folder, config, fresh=fresh)])[0])
        if finished:
            if console is not None:
                console.print(f"the run in {folder} is finished already")
            return load(folder, devices=devices, methods=own_classes(experiment))
        if sharding.is_main_process():
            runfolder.begin(folder, config, fresh=fresh, fitted=source.fitted)
            reporter.path = folder / "metrics.jsonl"
        sharding.wait_for_all("begun")
        runfolder.check_shared(folder)
    if console is not None:
        console.print(plan(experiment, source, spec, mesh))
    try:
        if folder is not None and sharding.is_main_process():
            groups = [f"stage {i} {type(stage.method).__name__}" for i, stage in enumerate(experiment.stages, 1)]
            say = print if console is None else console.print
            reporter.trackers = Trackers(track, folder, config["run"], groups, say)
        with reporter:
            trained = trainer.run()
    except InputError:
        if folder is not None and sharding.is_main_process():
            runfolder.remove_unstarted(folder)
        raise
    labels = trained.probabilities.argmax(axis=1)
    seconds = trained.seconds
    speed = reporter.images_per_second() or spec.n_samples / max(seconds, 1e-9)
    final = {
        "method": config["run"]["method"],
        "recipe": recipe,
        "acc": None,
        "nmi": None,
        "ari": None,
        **scores(source.labels, labels),
        "purity": None if source.labels is None else metrics.purity_score(source.labels, labels),
        "n_samples": len(labels),
        "n_clusters": trained.method.n_clusters,
        "n_classes": None if source.labels is None else len(np.unique(source.labels)),
        "active_clusters": len(np.unique(labels)),
        "protocol": f"{source.protocol}; {source.use}; one seed",
        "seed": seed,
        "seconds": round(seconds, 3),
        "images_per_second": round(speed, 1),
        "warnings": reporter.warnings,
    }
    if trained.alternatives and source.labels is not None:
        final["alternatives"] = {name: scores(source.labels, of) for name, of in trained.alternatives.items()}
    if vectorize_seconds is not None:
        share = vectorize_seconds / max(vectorize_seconds + seconds, 1e-9)
        final |= {"vectorize_seconds": round(vectorize_seconds, 3), "vectorize_share": round(share, 4)}
    result = result_of(trained, experiment, config, final, reporter.history, source)
    if folder is not None and sharding.is_main_process():
        result.write(folder)
        if reporter.trackers is not None:
            reporter.trackers.finish(final)
    return result


def plan(experiment: Experiment, source: Source, spec: DataSpec, mesh: Mesh) -> str:
    """One line before the start: samples, parameters, steps, devices."""
    stages = experiment.stages
    total_steps = sum(stage.n_steps(stage.part_of(spec).n_samples) for stage in stages)
    names = " then ".join(type(stage.method).__name__ for stage in stages)
    part = stages[-1].part_of(spec)
    _, state = abstract_state(stages[-1].method, make_optimizer(stages[-1], part.n_samples), part, mesh)
    n_parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
    shape = "x".join(map(str, spec.shape))
    kind = mesh.devices.flat[0].device_kind
    at_most = " at most" if any(stage.method.tolerance for stage in stages) else ""
    return (
        f"{source.name}: {spec.n_samples:,} samples of {shape} · {names} · {n_parameters:,} parameters · "
        f"{total_steps:,} steps{at_most} · {mesh.size} x {kind}"
    )

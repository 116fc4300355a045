"""``jaxdc train METHOD``: clusters a data set by a method."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro
from rich.console import Console

from jaxdc import cluster, methods, sharding
from jaxdc.cli.estimate import show_forecast
from jaxdc.cli.fit import fit, join, shown
from jaxdc.cli.method_options import about, with_hyper_parameters
from jaxdc.cli.options import DataOptions
from jaxdc.errors import InputError
from jaxdc.training import reporting
from jaxdc.training.advice import next_step
from jaxdc.training.report import scores
from jaxdc.training.tracking import is_installed


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(DataOptions):
    """Options of ``jaxdc train``.

    Attributes:
      n_clusters: number of clusters; by default the number of classes, where there are labels.
      recipe: fast, paper (the paper's setting), or another that jaxdc list shows.
      workdir: run folder; by default runs/METHOD-DATA-SEED.
      seed: of everything random.
      estimate: take the first steps of each stage, say what all of it will take in time and memory, and end.
      fresh: start over where the run folder holds a run.
      init_from: folder of a finished run to begin with, such as a pretext; its stages are not trained again.
      standardize: bring the columns of a table to mean 0 and variance 1.
      copies: augmented copies of each image, made once, to train on besides; results are of the originals.
      epochs: length of the method's own training, in passes over the data.
      pretrain_epochs: length of each stage before it.
      batch_size: samples of a gradient step, over all devices, where a stage does not take all of them.
      learning_rate: of the method's own training.
      checkpoint_minutes: least time between two checkpoints.
      probe_epochs: epochs between two measurements of the features' kNN accuracy, for data with labels.
      no_report: do not write report.html at the end.
      track: wandb (Weights & Biases) or mlflow, to tell of the run besides, through their own packages.
      no_tensorboard: write no TensorBoard event files; without tensorboard installed there are none anyway.
    """

    n_clusters: int | None = None
    recipe: str = "fast"
    workdir: Path | None = None
    seed: int = 0
    estimate: tyro.conf.FlagCreatePairsOff[bool] = False
    fresh: bool = False
    init_from: Path | None = None
    standardize: bool = False
    copies: int = 0
    epochs: float | None = None
    pretrain_epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    checkpoint_minutes: float = 5.0
    probe_epochs: float | None = None
    no_report: tyro.conf.FlagCreatePairsOff[bool] = False
    track: tuple[Literal["wandb", "mlflow"], ...] = ()
    no_tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False

    def trackers(self) -> tuple[str, ...]:
        """What is told of the run."""
        board = not self.no_tensorboard and is_installed("tensorboard")
        return (("tensorboard",) if board else ()) + self.track

    @property
    def vectors_seed(self) -> int:
        """That of the run."""
        return self.seed


def main(arguments: Sequence[str], console: Console) -> None:
    """Clusters a data set by a method."""
    if not arguments or arguments[0].startswith("-"):
        raise InputError(f"say which method to train: {', '.join(methods.ALL)}")
    name, *rest = arguments
    if name.lower().replace("-", "_") not in methods.ALL:
        near = difflib.get_close_matches(name.lower(), methods.ALL, n=3, cutoff=0.4) or list(methods.ALL)
        raise InputError(f"there is no method {name!r}; did you mean {' or '.join(near)}?")
    name = name.lower().replace("-", "_")
    make = methods.ALL[name]
    parsed: Any = tyro.cli(
        with_hyper_parameters(TrainOptions, make), args=rest, prog=f"jaxdc train {name}", description=about(make)
    )
    values = {f.name: getattr(parsed, f.name) for f in dataclasses.fields(parsed)}
    options = TrainOptions(**{f.name: values.pop(f.name) for f in dataclasses.fields(TrainOptions)})
    join(options, console)
    source = options.open(console)
    n_clusters = options.n_clusters
    if n_clusters is None:
        if source.labels is None:
            raise InputError(f"{source.name} has no classes to count: say --n-clusters")
        n_clusters = len(np.unique(source.labels))
    if options.estimate:
        show_forecast(make(n_clusters=n_clusters, **values), source, options, console)
        return
    workdir = options.workdir or Path("runs") / f"{name}-{Path(options.data).stem}-{options.seed}"
    result = fit(make(n_clusters=n_clusters, **values), source, options, workdir, console)
    if sharding.is_main_process():
        k_means = _show_result(result, source, workdir, console)
        shown_in = None if options.no_report else _report(result, source, workdir, console)
        where = str(shown_in or f"jaxdc describe {workdir}")
        console.print(f"next: {next_step(result.metrics, result.probabilities, k_means=k_means, where=where)}")


def _report(result, source, workdir: Path, console: Console) -> Path | None:
    """The page at the end of a run, if there is one. Whatever becomes of it, the run is finished and stays so."""
    place = workdir / reporting.REPORT
    if reporting.is_reported(workdir):
        return place
    try:
        reporting.report_result(result, source, workdir)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        console.print(
            f"the results are whole, but the report failed ({reason}); jaxdc report {workdir} tries again"
        )
        return None
    console.print(f"to look at: {place}")
    return place


def _show_result(result, source, workdir: Path, console: Console) -> dict[str, float] | None:
    """Prints it, and gives the scores of k-means on the same samples if they were taken."""
    figures, k_means = result.metrics, None
    if figures["acc"] is not None:
        console.print(f"{figures['method']}: {shown(figures)}")
        if source.array is not None and source.array.size <= 10**7 and figures["method"] != "KMeans":
            k_means = _k_means_scores(source, result)
            console.print(f"k-means on the same samples: {shown(k_means)}")
        console.print(f"({figures['protocol']}: {figures['seed']})")
    sizes = np.bincount(result.labels, minlength=figures["n_clusters"])
    console.print(f"samples a cluster: {', '.join(map(str, sizes))}")
    speed = f"{figures['images_per_second']:,.0f} images/s"
    console.print(f"{figures['seconds']:.1f} s, {speed}; results in {workdir}")
    return k_means


def _k_means_scores(source, result) -> dict[str, float]:
    x = result.prepared(source).array.reshape(source.n_samples, -1)[: source.n_reported]
    key = jax.random.key(result.metrics["seed"])
    labels = cluster.k_means(key, x, result.method.n_clusters, n_init=20).labels
    return scores(source.labels, np.asarray(labels))

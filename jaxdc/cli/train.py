"""``jaxdc train METHOD``: clusters a data set."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from rich.console import Console

from jaxdc import cluster, methods
from jaxdc.cli.config_file import arguments_of, recorded, with_config
from jaxdc.cli.estimate import show_forecast
from jaxdc.cli.fit import fit, join, shown
from jaxdc.cli.method_options import about, kind_of, own_names, with_hyper_parameters, with_views_of_sounds
from jaxdc.cli.options import EMBEDDINGS, TrainOptions
from jaxdc.cli.pretrained import check_untrained, with_pretrained
from jaxdc.cli.seeds import train_seeds
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.report.run import REPORT, is_reported, report_result
from jaxdc.runs.advice import next_step, ways_to_train_longer
from jaxdc.runs.progress import scores
from jaxdc.runs.result import Result
from jaxdc.train.labels import sizes_of


def main(arguments: Sequence[str], console: Console) -> None:
    """Clusters a data set with a method."""
    name, arguments, flags, path = with_config(arguments)
    if arguments and not arguments[0].startswith("-"):
        named, *arguments = arguments
        if name is not None and _checked(named) != _checked(name):
            raise InputError(
                f"{path} is of the method {name}, not of {named}: remove method from it, or name {name}"
            )
        name = named
    if name is None:
        raise InputError(f"name the method to train: {', '.join(methods.ALL)}")
    name = _checked(name)
    make = methods.ALL[name]
    known = with_hyper_parameters(TrainOptions, make)
    if path is not None:
        arguments = [*arguments_of(flags, known, path, name), *arguments]
    parsed: Any = tyro.cli(known, args=arguments, prog=f"jaxdc train {name}", description=about(make))
    join(parsed, console)
    if parsed.seeds:
        train_seeds(parsed, lambda one: _train(name, one, console), f"{name}-{Path(parsed.data).stem}", console)
    else:
        _train(name, parsed, console)


def _checked(name: str) -> str:
    """The name of a method as it is registered."""
    found = name.lower().replace("-", "_")
    if found not in methods.ALL:
        near = difflib.get_close_matches(name.lower(), methods.ALL, n=3, cutoff=0.4) or list(methods.ALL)
        raise InputError(f"unknown method {name!r}; did you mean {' or '.join(near)}?")
    return found


def _train(name: str, parsed: Any, console: Console) -> Result | None:
    """Trains with one seed; None if only the cost was asked for."""
    make = methods.ALL[name]
    values = {f.name: getattr(parsed, f.name) for f in dataclasses.fields(parsed)}
    names = {f.name for f in dataclasses.fields(TrainOptions)} - own_names(make)
    options = TrainOptions(**{each: values.pop(each) for each in names})
    options.check()
    workdir = options.workdir or Path("runs") / f"{name}-{Path(options.data).stem}-{options.seed}"
    if options.train_encoder:
        options, source = with_pretrained(options, values, name, console)
    else:
        check_untrained(options)
        source = options.open(console, cache=workdir.parent / EMBEDDINGS)
    if source.sounds is not None:
        values = with_views_of_sounds(values, make)
    n_clusters = options.n_clusters
    if n_clusters is None and kind_of(make).finds_n_clusters:
        n_clusters = kind_of(make).n_clusters
    if n_clusters is None:
        if source.labels is None:
            raise InputError(f"{source.name} has no labels: pass --n-clusters")
        n_clusters = len(np.unique(source.labels))
    if options.estimate:
        show_forecast(make(n_clusters=n_clusters, **values), source, options, console)
        return None
    method = make(n_clusters=n_clusters, **values)
    result = fit(method, source, options, workdir, console, flags=recorded(parsed, name))
    if sharding.is_main_process():
        k_means = _show_result(result, source, workdir, console)
        shown_in = None if options.no_report else _report(result, source, workdir, console)
        where = str(shown_in or f"jaxdc describe {workdir}")
        longer = ways_to_train_longer(result.method, result.metrics["recipe"])
        step = next_step(result.metrics, result.probabilities, k_means=k_means, where=where, longer=longer)
        console.print(f"next: {step}")
    return result


def _report(result, source, workdir: Path, console: Console) -> Path | None:
    """Writes the report at the end of a run, unless it exists. A failure here never fails the finished run."""
    place = workdir / REPORT
    if is_reported(workdir):
        return place
    try:
        report_result(result, source, workdir)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        console.print(
            f"the results are saved, but the report failed ({reason}); retry with jaxdc report {workdir}"
        )
        return None
    console.print(f"report: {place}")
    return place


def _show_result(result, source, workdir: Path, console: Console) -> dict[str, float] | None:
    """Prints the result, and returns the scores of k-means on the same samples if they were computed."""
    figures, k_means = result.metrics, None
    if figures["acc"] is not None:
        console.print(f"{figures['method']}: {shown(figures)}")
        if source.array is not None and source.array.size <= 10**7 and figures["method"] != "KMeans":
            k_means = _k_means_scores(source, result)
            console.print(f"k-means on the same samples: {shown(k_means)}")
        console.print(f"({figures['protocol']}: {figures['seed']})")
    sizes = sizes_of(result.labels, figures["n_clusters"])
    console.print(f"samples per cluster: {', '.join(map(str, sizes))}")
    if (result.labels < 0).any():
        console.print(f"samples in no cluster: {int((result.labels < 0).sum()):,}")
    speed = f"{figures['images_per_second']:,.0f} images/s"
    console.print(f"{figures['seconds']:.1f} s, {speed}; results in {workdir}")
    return k_means


def _k_means_scores(source, result) -> dict[str, float]:
    x = result.prepared(source).array.reshape(source.n_samples, -1)[: source.n_reported]
    key = jax.random.key(result.metrics["seed"])
    labels = cluster.k_means(key, x, max(result.metrics["n_clusters"], 2), n_init=20).labels
    return scores(source.labels, np.asarray(labels))

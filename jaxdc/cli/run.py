"""``jaxdc run FILE --on NAME``: runs the rows of a published table on one data set over their seeds."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from rich.console import Console

from jaxdc import experiment
from jaxdc.cli.fit import fit, join, shown
from jaxdc.cli.options import EMBEDDINGS, DataOptions, RunOptions, TrainOptions
from jaxdc.data import Source, split_names
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.metrics import normalized_mutual_info_score as nmi
from jaxdc.runs.result import Result
from jaxdc.version import __version__
from jaxdc.writing import full_disk_is_an_input_error, output


def main(arguments: Sequence[str], console: Console) -> None:
    """Runs a table of an experiment file and prints mean and deviation next to the published numbers."""
    options = tyro.cli(RunOptions, args=arguments, prog="jaxdc run")
    join(options, console)
    on, table = experiment.choose(options.file, options.on)
    unknown = [name for name in options.rows if name not in table.rows]
    if unknown:
        has = ", ".join(map(repr, table.rows))
        raise InputError(f"{options.file} has no row {unknown[0]!r} on {on}; it has {has}")
    rows = {name: table.rows[name] for name in options.rows or table.rows}
    methods = {name: experiment.with_settings(row.method, options.set) for name, row in rows.items()}
    source, test = _open(table, f"{options.file} on {on}", options, console)
    recipe, seeds = options.recipe or table.recipe, options.seeds or table.seeds
    use = source.use if test is None else f"trained on them without labels and scored on {test.protocol}"
    protocol = f"{source.name}, {source.protocol}; {use}"

    def folder(name: str, seed: int) -> Path:
        parts = (
            f"{options.file.stem}_{on}",
            re.sub(r"\W+", "-", name),
            table.rows[name].recipe(recipe),
            str(seed),
        )
        return options.workdir / "-".join(parts)

    measured = {name: [] for name in rows}
    for name, row in rows.items():
        for seed in seeds:
            init_from = None if row.init_from is None else folder(row.init_from, seed)
            if init_from is not None and not (init_from / "metrics.json").exists():
                raise InputError(
                    f"row {name!r} starts from row {row.init_from!r}, which is not in {init_from}: "
                    "run that row first"
                )
            train_options = _train_options(row, options, data=on, recipe=recipe, seed=seed, init_from=init_from)
            result = fit(methods[name], row.seen(source), train_options, folder(name, seed), console)
            figures = _figures(result, test) | _with_others(result, table.data, source, test)
            measured[name].append(figures)
            console.print(f"{name}, seed {seed}: {shown(figures)}, {figures['seconds']:.0f} s")
            if options.output is not None and sharding.is_main_process():
                _write(options.output, options, on, table, protocol, measured)
    published = {name: row.published for name, row in rows.items() if row.published is not None}
    changed = f" with {', '.join(options.set)}" if options.set else ""
    title = (
        f"{options.file.stem} on {on}, recipe {recipe}{changed}; {protocol}; seeds {', '.join(map(str, seeds))}"
    )
    if sharding.is_main_process():
        Console().print(experiment.results_table(title, measured, published))


def _open(
    table: experiment.Table, name: str, options: RunOptions, console: Console
) -> tuple[Source, Source | None]:
    """The samples to cluster, and the test samples to score instead, if any."""
    data = table.data
    load = data.load if options.data is None else None
    if load is None and options.data is None and data.data is None:
        about = data.about or "such as a folder of images"
        raise InputError(f"{name} does not define its data: pass them with --data, {about}")
    where = DataOptions(
        data=options.data or data.data or name,
        data_dir=options.data_dir,
        split=options.split or table.split,
        image_size=options.image_size or data.image_size,
        views=None if data.prepare else table.views,  # what prepares the samples makes their views
        skip_bad_images=options.skip_bad_images,
        download=options.download,
        vectors=data.vectors,
        encoder=options.encoder or data.encoder,
        encoder_size=data.encoder_size,
        resident_gib=options.resident_gib,
    )
    cache = options.workdir / EMBEDDINGS

    def opened(split: str) -> Source:
        if load is not None:
            return load(options.data_dir, split)
        return dataclasses.replace(where, split=split).open(console, cache=cache)

    names_splits = options.split is None and (table.split, table.test_split) != ("all", None)
    how = {"data_dir": where.data_dir, "download": where.download}
    if names_splits and options.data is not None and not split_names(where.data, **how):
        console.print(f"{options.data} has no splits, so all of it is clustered and scored")
        where, table = dataclasses.replace(where, split="all"), dataclasses.replace(table, test_split=None)
    source = opened(where.split)
    if source.labels is None:
        raise InputError(f"{source.name} has no labels, so there is no ACC, NMI or ARI to report; use jaxdc train")
    test = None
    if table.test_split is not None and options.split is None:
        test = data.prepared(opened(table.test_split))
    return data.prepared(source), test


def _train_options(
    row: experiment.Row, options: RunOptions, *, data: str, recipe: str, seed: int, init_from: Path | None
) -> TrainOptions:
    """The options of ``jaxdc train`` for this row; command-line options override the file's."""
    overrides = {} if row.schedule is None else dataclasses.asdict(row.schedule)
    for name in ("epochs", "pretrain_epochs", "batch_size"):
        if getattr(options, name) is not None:
            overrides[name] = getattr(options, name)
    return TrainOptions(
        data=data,
        recipe=row.recipe(recipe),
        seed=seed,
        init_from=init_from,
        probe_epochs=options.probe_epochs,
        checkpoint_minutes=options.checkpoint_minutes,
        fresh=options.fresh,
        from_last_good=options.from_last_good,
        **{name: value for name, value in overrides.items() if value is not None},
    )


def _figures(result: Any, test: Source | None) -> dict[str, Any]:
    """The metrics of a run, on the test split if there is one."""
    if test is None:
        return result.metrics
    of_training = {name: value for name, value in result.metrics.items() if name != "alternatives"}
    return {**of_training, **result.score(test)}


def _with_others(
    result: Result, data: experiment.DataSet, source: Source, test: Source | None
) -> dict[str, float]:
    """The NMI with the other groupings that the data set has."""
    if not data.others:
        return {}
    labels = result.labels if test is None else result.predict(test)
    scored = source if test is None else test
    return {
        f"{experiment.OTHER}{name}": nmi(np.unique(grouping(scored), return_inverse=True)[1], labels)
        for name, grouping in data.others.items()
    }


def _write(
    path: Path,
    options: RunOptions,
    on: str,
    table: experiment.Table,
    protocol: str,
    measured: dict[str, list[dict[str, Any]]],
) -> None:
    """Writes the results so far, atomically."""
    device, rows = jax.devices()[0], {}
    for name, runs in measured.items():
        published = table.rows[name].published
        if runs:
            rows[name] = {"runs": runs, "published": dataclasses.asdict(published) if published else {}}
    content = {
        "experiment": options.file.stem,
        "on": on,
        "protocol": protocol,
        "settings": list(options.set),
        "rows": rows,
        "environment": {
            "jaxdc": __version__,
            "jax": jax.__version__,
            "devices": f"{jax.device_count()} x {device.device_kind}",
        },
    }
    with full_disk_is_an_input_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with output(path) as file:
            file.write(json.dumps(content, indent=2) + "\n")

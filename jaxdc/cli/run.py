"""``jaxdc run FILE``: a row of a published table over its seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import tyro
from rich.console import Console

from jaxdc import experiment
from jaxdc.cli.fit import fit, join, shown
from jaxdc.cli.options import EMBEDDINGS, DataOptions, RunOptions, TrainOptions
from jaxdc.data import Source
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.runs import runfolder
from jaxdc.version import __version__


def main(arguments: Sequence[str], console: Console) -> None:
    """Runs an experiment file over its seeds and prints mean and deviation beside the published numbers."""
    options = tyro.cli(RunOptions, args=arguments, prog="jaxdc run")
    join(options, console)
    file = experiment.load_experiment(options.file)
    unknown = [row for row in options.rows if row not in file.rows]
    if unknown:
        raise InputError(f"{options.file} has no row {unknown[0]!r}; it has {', '.join(map(repr, file.rows))}")
    methods = {row: experiment.with_settings(file.rows[row], options.set) for row in options.rows or file.rows}
    source, test = _open(file, options, console)
    recipe, seeds = options.recipe or file.recipe, options.seeds or file.seeds
    use = source.use if test is None else f"trained on them without labels and scored on {test.protocol}"
    protocol = f"{source.name}, {source.protocol}; {use}"
    measured = {row: [] for row in methods}
    for row, figures in measured.items():
        for seed in seeds:
            before = file.init_from.get(row)
            init_from = None if before is None else options.workdir / file.run_name(before, recipe, seed)
            if init_from is not None and not (init_from / "metrics.json").exists():
                raise InputError(
                    f"row {row!r} begins with row {before!r}, which is not in {init_from}: run it too"
                )
            workdir = options.workdir / file.run_name(row, recipe, seed)
            train_options = _train_options(file, row, options, recipe=recipe, seed=seed, init_from=init_from)
            result = fit(methods[row], file.views_of(row, source), train_options, workdir, console)
            figures.append(_figures(result, test))
            seconds = f"{figures[-1]['seconds']:.0f} s"
            console.print(f"{row + ', ' if row else ''}seed {seed}: {shown(figures[-1])}, {seconds}")
            if options.output is not None and sharding.is_main_process():
                _write(options.output, file, protocol, measured, options.set)
    changed = f" with {', '.join(options.set)}" if options.set else ""
    title = f"{file.name}, recipe {recipe}{changed}; {protocol}; seeds {', '.join(map(str, seeds))}"
    if sharding.is_main_process():
        Console().print(experiment.results_table(title, measured, file.published))


def _open(file: experiment.ExperimentFile, options: RunOptions, console: Console) -> tuple[Source, Source | None]:
    """The samples that are clustered, and those that are scored in their place."""
    data = options.data or file.data
    load = file.load if options.data is None else None
    if data is None and load is None:
        raise InputError(
            f"{options.file} brings no data: say where they are with --data, such as a folder of images"
        )
    where = DataOptions(
        data=data or file.name,
        data_dir=options.data_dir,
        split=options.split or file.split,
        image_size=options.image_size or file.image_size,
        views=file.views,
        skip_bad_images=options.skip_bad_images,
        download=options.download,
        vectors=file.vectors,
        encoder=options.encoder or file.encoder,
        encoder_size=file.encoder_size,
        resident_gib=options.resident_gib,
    )
    cache = options.workdir / EMBEDDINGS
    opened = where.open(console, cache=cache) if load is None else load(options.data_dir, where.split)
    if opened.labels is None:
        raise InputError(f"{opened.name} has no labels, and a table is of ACC, NMI and ARI; use jaxdc train")
    test = None
    if file.test_split is not None and options.split is None:
        test = file.prepare(dataclasses.replace(where, split=file.test_split).open(console, cache=cache))
    return file.prepare(opened), test


def _train_options(
    file: experiment.ExperimentFile,
    row: str,
    options: RunOptions,
    *,
    recipe: str,
    seed: int,
    init_from: Path | None,
) -> TrainOptions:
    """The options of ``jaxdc train`` for this row; those of the command override the file's."""
    overrides = dataclasses.asdict(file.schedules[row]) if row in file.schedules else {}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    for name in ("epochs", "batch_size"):
        if getattr(options, name) is not None:
            overrides[name] = getattr(options, name)
    recipe = file.recipe_of(row, recipe)
    return TrainOptions(
        data=file.name,
        recipe=recipe,
        seed=seed,
        init_from=init_from,
        probe_epochs=options.probe_epochs,
        checkpoint_minutes=options.checkpoint_minutes,
        **overrides,
    )


def _figures(result: Any, test: Source | None) -> dict[str, Any]:
    """The metrics of a run; scored on the test split if there is one."""
    if test is None:
        return result.metrics
    of_training = {name: value for name, value in result.metrics.items() if name != "alternatives"}
    return {**of_training, **result.score(test)}


def _write(
    path: Path,
    file: experiment.ExperimentFile,
    protocol: str,
    measured: dict[str, list[dict[str, Any]]],
    settings: Sequence[str],
) -> None:
    """Writes what has been measured so far, whole or not at all."""
    device = jax.devices()[0]
    content = {
        "experiment": file.name,
        "protocol": protocol,
        "settings": list(settings),
        "rows": {
            row: {"runs": runs, "published": dict(file.published.get(row, {}))}
            for row, runs in measured.items()
            if runs
        },
        "environment": {
            "jaxdc": __version__,
            "jax": jax.__version__,
            "devices": f"{jax.device_count()} x {device.device_kind}",
        },
    }
    with runfolder.full_disk_is_an_input_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        runfolder.write_json(path, content)

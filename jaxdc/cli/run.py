"""``jaxdc run FILE``: a row of a published table over its seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from jaxdc import experiment, sharding
from jaxdc.cli.fit import fit, join, shown
from jaxdc.cli.options import DataOptions
from jaxdc.cli.train import TrainOptions
from jaxdc.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of ``jaxdc run``.

    Attributes:
      file: an experiment; see experiments/ for examples.
      data: another place of the same data, such as a file of encoded images or a folder.
      data_dir: where TensorFlow Datasets keeps its files.
      split: instead of the experiment's own.
      image_size: instead of the experiment's own.
      skip_bad_images: go on without images that can't be read.
      download: let TensorFlow Datasets fetch a set that is not there yet.
      text_model: directory of a language model, for an experiment on what one makes of texts.
      resident_gib: data sets above this size are streamed instead of held on the device.
      rows: some rows of the experiment, by name; by default all.
      recipe: instead of the experiment's own.
      seeds: instead of the experiment's own.
      workdir: folder for the run folders, one a row and seed.
      distributed: join the other processes of a run on several hosts, as in ``jaxdc train``.
      no_distributed: stay alone, whatever the environment says.
    """

    file: tyro.conf.Positional[Path]
    data: str | None = None
    data_dir: Path | None = None
    split: str | None = None
    image_size: int | None = None
    skip_bad_images: bool = False
    download: bool = False
    text_model: str | None = None
    resident_gib: float = 2.0
    rows: tuple[str, ...] = ()
    recipe: str | None = None
    seeds: tuple[int, ...] = ()
    workdir: Path = Path("runs")
    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    no_distributed: tyro.conf.FlagCreatePairsOff[bool] = False


def main(arguments: Sequence[str], console: Console) -> None:
    """Runs an experiment file over its seeds and prints mean and deviation beside the published numbers."""
    options = tyro.cli(RunOptions, args=arguments, prog="jaxdc run")
    join(options, console)
    file = experiment.load_experiment(options.file)
    unknown = [row for row in options.rows if row not in file.rows]
    if unknown:
        raise InputError(f"{options.file} has no row {unknown[0]!r}; it has {', '.join(map(repr, file.rows))}")
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
        text_model=options.text_model,
        resident_gib=options.resident_gib,
    )
    opened = where.open(console) if load is None else load(options.data_dir, where.split)
    if opened.labels is None:
        raise InputError(f"{opened.name} has no labels, and a table is of ACC, NMI and ARI; use jaxdc train")
    source, recipe, seeds = file.prepare(opened), options.recipe or file.recipe, options.seeds or file.seeds
    test = None
    if file.test_split is not None and options.split is None:
        test = file.prepare(dataclasses.replace(where, split=file.test_split).open(console))
    measured = {row: [] for row in options.rows or file.rows}
    for row, figures in measured.items():
        for seed in seeds:
            before = file.init_from.get(row)
            init_from = None if before is None else options.workdir / file.run_name(before, recipe, seed)
            if init_from is not None and not (init_from / "metrics.json").exists():
                raise InputError(
                    f"row {row!r} begins with row {before!r}, which is not in {init_from}: run it too"
                )
            train_options = TrainOptions(data=where.data, recipe=recipe, seed=seed, init_from=init_from)
            workdir = options.workdir / file.run_name(row, recipe, seed)
            result = fit(file.rows[row], file.views_of(row, source), train_options, workdir, console)
            figures.append({**result.metrics, **({} if test is None else result.score(test))})
            seconds = f"{figures[-1]['seconds']:.0f} s"
            console.print(f"{row + ', ' if row else ''}seed {seed}: {shown(figures[-1])}, {seconds}")
    use = source.use if test is None else f"trained on them without labels and scored on {test.protocol}"
    protocol = f"{source.name}, {source.protocol}; {use}"
    title = f"{file.name}, recipe {recipe}; {protocol}; seeds {', '.join(map(str, seeds))}"
    if sharding.is_main_process():
        Console().print(experiment.results_table(title, measured, file.published))

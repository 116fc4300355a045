"""The command: ``jaxdc train | predict | evaluate | run | list``. Thin: the work is in the library."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import docstring_parser
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from jaxdc import watch
from jaxdc.errors import InputError
from jaxdc.version import __version__

USAGE = """usage: jaxdc COMMAND ...

  train METHOD --data DATA           cluster a data set
  predict WORKDIR --data DATA        the cluster of each new sample, as a table
  evaluate WORKDIR --data DATA       ACC, NMI and ARI of a run on labelled data
  run experiments/FILE.py            run a row of a published table over its seeds
  list                               the methods and the data sets

DATA is digits, a TensorFlow Datasets name (mnist, cifar10, ...), a .npy, .npz or .csv file,
or a folder of images. Each command answers to --help; train METHOD --help lists the
hyper-parameters of that method.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the samples come from.

    Attributes:
      data: digits, a TensorFlow Datasets name, a .npy, .npz or .csv file, or a folder of images.
      data_dir: where TensorFlow Datasets keeps its files.
      split: of a TensorFlow Datasets set or a file of encoded images: all, the name of one, or several joined
        by +; those without labels, as in all+unlabelled, are trained on but not reported.
      image_size: height and width to bring images to.
      skip_bad_images: go on without images that can't be read.
      download: let TensorFlow Datasets fetch a set that is not there yet.
      resident_gib: data sets above this size are streamed instead of held on the device.
      distributed: join the other processes of a run on several hosts; without it this is done where
        SLURM, Open MPI, a TPU slice or JAX_COORDINATOR_ADDRESS name several (docs/many-devices.md).
      no_distributed: stay alone, whatever the environment says.
    """

    data: str
    data_dir: Path | None = None
    split: str = "all"
    image_size: int | None = None
    skip_bad_images: bool = False
    download: bool = False
    resident_gib: float = 2.0
    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    no_distributed: tyro.conf.FlagCreatePairsOff[bool] = False

    def open(self, console: Console, shape: Sequence[int] | None = None):
        """The source that they name; images are brought to ``shape`` where a run has fixed it."""
        from jaxdc.data import open_source

        return open_source(
            self.data,
            data_dir=self.data_dir,
            split=self.split,
            image_size=shape[0] if shape and len(shape) == 3 else self.image_size,
            channels=shape[2] if shape and len(shape) == 3 else None,
            skip_bad_images=self.skip_bad_images,
            download=self.download,
            resident_bytes=int(self.resident_gib * 2**30),
            say=console.print,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(DataOptions):
    """Options of ``jaxdc train``.

    Attributes:
      n_clusters: number of clusters; by default the number of classes, where there are labels.
      recipe: fast, or the paper's setting.
      workdir: run folder; by default runs/METHOD-DATA-SEED.
      seed: of everything random.
      fresh: start over where the run folder holds a run.
      standardize: bring the columns of a table to mean 0 and variance 1.
      copies: augmented copies of each image, made once, to train on besides; results are of the originals.
      epochs: length of the method's own training, in passes over the data.
      pretrain_epochs: length of each stage before it.
      batch_size: samples of a gradient step, over all devices.
      learning_rate: of the method's own training.
      checkpoint_minutes: least time between two checkpoints.
    """

    n_clusters: int | None = None
    recipe: str = "fast"
    workdir: Path | None = None
    seed: int = 0
    fresh: bool = False
    standardize: bool = False
    copies: int = 0
    epochs: float | None = None
    pretrain_epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    checkpoint_minutes: float = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(DataOptions):
    """Options of ``jaxdc predict``.

    Attributes:
      workdir: folder of a finished run.
      output: table to write, with the columns sample, cluster and confidence.
    """

    workdir: tyro.conf.Positional[Path]
    output: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions):
    """Options of ``jaxdc evaluate``.

    Attributes:
      workdir: folder of a finished run.
    """

    workdir: tyro.conf.Positional[Path]


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
    resident_gib: float = 2.0
    rows: tuple[str, ...] = ()
    recipe: str | None = None
    seeds: tuple[int, ...] = ()
    workdir: Path = Path("runs")
    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    no_distributed: tyro.conf.FlagCreatePairsOff[bool] = False


def train(arguments: Sequence[str], console: Console) -> None:
    """Clusters a data set by a method."""
    from jaxdc import methods, sharding

    if not arguments or arguments[0].startswith("-"):
        raise InputError(f"say which method to train: {', '.join(methods.ALL)}")
    name, *rest = arguments
    if name.lower().replace("-", "_") not in methods.ALL:
        near = difflib.get_close_matches(name.lower(), methods.ALL, n=3, cutoff=0.4) or list(methods.ALL)
        raise InputError(f"there is no method {name!r}; did you mean {' or '.join(near)}?")
    name = name.lower().replace("-", "_")
    make = methods.ALL[name]
    parsed: Any = tyro.cli(_command(make), args=rest, prog=f"jaxdc train {name}", description=_about(make))
    values = {f.name: getattr(parsed, f.name) for f in dataclasses.fields(parsed)}
    options = TrainOptions(**{f.name: values.pop(f.name) for f in dataclasses.fields(TrainOptions)})
    _join(options, console)
    source = options.open(console)
    n_clusters = options.n_clusters
    if n_clusters is None:
        if source.labels is None:
            raise InputError(f"{source.name} has no classes to count: say --n-clusters")
        n_clusters = len(np.unique(source.labels))
    workdir = options.workdir or Path("runs") / f"{name}-{Path(options.data).stem}-{options.seed}"
    result = _fit(make(n_clusters=n_clusters, **values), source, options, workdir, console)
    if sharding.is_main_process():
        _show_result(result, source, workdir, console)


def _join(options: DataOptions | RunOptions, console: Console) -> None:
    """Joins the other processes, if there are any; of several, process 0 alone speaks."""
    from jaxdc import hosts, sharding

    if options.distributed and options.no_distributed:
        raise InputError("--distributed and --no-distributed contradict each other")
    if hosts.join(options.distributed or (False if options.no_distributed else None)):
        console.quiet = not sharding.is_main_process()


def _fit(method, source, options: TrainOptions, workdir: Path, console: Console):
    from jaxdc import training
    from jaxdc.stages import Schedule
    from jaxdc.training.loop import Stopped
    from jaxdc.training.snapshot import newest_place

    watch.advise(lambda: newest_place(workdir / "checkpoints"))
    with _stop_signals() as stop:
        try:
            return training.fit(
                method,
                source,
                recipe=options.recipe,
                seed=options.seed,
                workdir=workdir,
                fresh=options.fresh,
                standardize=options.standardize,
                copies=options.copies,
                resident_bytes=int(options.resident_gib * 2**30),
                schedule=Schedule(
                    epochs=options.epochs,
                    pretrain_epochs=options.pretrain_epochs,
                    batch_size=options.batch_size,
                    learning_rate=options.learning_rate,
                ),
                progress=True,
                checkpoint_seconds=options.checkpoint_minutes * 60,
                should_stop=stop.requested,
            )
        except Stopped:
            console.print(f"stopped; a checkpoint is in {workdir}, and the same command goes on from it")
            raise SystemExit(130) from None


def predict(arguments: Sequence[str], console: Console) -> None:
    """Writes the cluster of each new sample."""
    from jaxdc import sharding, training
    from jaxdc.training import runfolder

    options = tyro.cli(PredictOptions, args=arguments, prog="jaxdc predict")
    if not options.output.absolute().parent.is_dir():
        raise InputError(
            f"there is no folder {options.output.absolute().parent} to write {options.output.name} to"
        )
    _join(options, console)
    result = training.load(options.workdir)
    source = options.open(console, result.config["run"]["data"]["shape"])
    if not sharding.is_main_process():
        for _ in result.predict_source(source):
            pass  # takes part; process 0 writes
        return
    with (
        runfolder.full_disk_is_an_input_error(options.output),
        runfolder.replacing(options.output) as file,
    ):
        table = runfolder.AssignmentTable(file)
        for part in result.predict_source(source):
            table.write(part.rows, part.probabilities, source.sample_names)
    console.print(f"{source.n_samples:,} samples of {source.name}: clusters written to {options.output}")


def evaluate(arguments: Sequence[str], console: Console) -> None:
    """Scores a run on labelled data; prints JSON."""
    from jaxdc import metrics, sharding, training
    from jaxdc.training.report import scores

    options = tyro.cli(EvaluateOptions, args=arguments, prog="jaxdc evaluate")
    _join(options, console)
    result = training.load(options.workdir)
    source = options.open(console, result.config["run"]["data"]["shape"])
    if source.labels is None:
        raise InputError(f"{source.name} has no labels to score with; predict writes the clusters of such data")
    parts = list(result.predict_source(source))
    rows = np.concatenate([part.rows for part in parts])
    labels = np.concatenate([part.probabilities.argmax(axis=1) for part in parts])
    reported = rows < len(source.labels)
    labels_true, labels = source.labels[rows[reported]], labels[reported]
    part = "" if source.n_reported is None else f"the {source.n_reported:,} labelled samples of "
    figures = {
        **scores(labels_true, labels),
        "purity": metrics.purity_score(labels_true, labels),
        "n_samples": len(labels),
        "n_clusters": result.method.n_clusters,
        "protocol": f"run {options.workdir} scored on {source.name}: {part}{source.protocol}",
    }
    if sharding.is_main_process():
        print(json.dumps(figures, indent=2))


def run(arguments: Sequence[str], console: Console) -> None:
    """Runs an experiment file over its seeds and prints mean and deviation beside the published numbers."""
    from jaxdc import experiment, sharding

    options = tyro.cli(RunOptions, args=arguments, prog="jaxdc run")
    _join(options, console)
    file = experiment.load_experiment(options.file)
    unknown = [row for row in options.rows if row not in file.rows]
    if unknown:
        raise InputError(f"{options.file} has no row {unknown[0]!r}; it has {', '.join(map(repr, file.rows))}")
    data = options.data or file.data
    if data is None:
        raise InputError(
            f"{options.file} brings no data: say where they are with --data, such as a folder of images"
        )
    opened = DataOptions(
        data=data,
        data_dir=options.data_dir,
        split=options.split or file.split,
        image_size=options.image_size or file.image_size,
        skip_bad_images=options.skip_bad_images,
        download=options.download,
        resident_gib=options.resident_gib,
    ).open(console)
    if opened.labels is None:
        raise InputError(f"{opened.name} has no labels, and a table is of ACC, NMI and ARI; use jaxdc train")
    source, recipe, seeds = file.prepare(opened), options.recipe or file.recipe, options.seeds or file.seeds
    measured = {row: [] for row in options.rows or file.rows}
    for row, figures in measured.items():
        for seed in seeds:
            train_options = TrainOptions(data=data, recipe=recipe, seed=seed)
            workdir = options.workdir / file.run_name(row, recipe, seed)
            figures.append(_fit(file.rows[row], source, train_options, workdir, console).metrics)
            seconds = f"{figures[-1]['seconds']:.0f} s"
            console.print(f"{row + ', ' if row else ''}seed {seed}: {_figures(figures[-1])}, {seconds}")
    protocol = f"{source.name}, {source.protocol}; {source.use}"
    title = f"{file.name}, recipe {recipe}; {protocol}; seeds {', '.join(map(str, seeds))}"
    if sharding.is_main_process():
        Console().print(experiment.results_table(title, measured, file.published))


def list_all(arguments: Sequence[str], console: Console) -> None:
    """Prints the methods and the data sets."""
    from jaxdc import methods
    from jaxdc.data.open import NAMES

    del arguments, console
    console = Console()
    table = Table("method", "recipes", "what it is", box=None, pad_edge=False)
    for name, make in methods.ALL.items():
        table.add_row(name, ", ".join(_kind(make).recipe_names), _about(make))
    console.print(table)
    console.print(
        f"\ndata sets by name: {', '.join(NAMES)} (all but digits need the extra jaxdc[data])", markup=False
    )


def _kind(make: Callable) -> Any:
    return make.func if isinstance(make, functools.partial) else make


def _about(make: Callable) -> str:
    text = (_kind(make).__doc__ or "").strip().splitlines()[0]
    if isinstance(make, functools.partial):
        text += " With " + ", ".join(f"{k} {v}" for k, v in make.keywords.items()) + "."
    return text


def _command(make: Callable) -> type:
    """A dataclass of the options of ``train`` and of all hyper-parameters of a method, as tyro reads it."""
    defaults = make.keywords if isinstance(make, functools.partial) else {}
    fields = []
    for owner in (TrainOptions, _kind(make)):
        hints, helps = get_type_hints(owner, include_extras=True), _helps(owner)
        for field in dataclasses.fields(owner):
            if owner is not TrainOptions and field.name == "n_clusters":
                continue
            hint = Annotated[hints[field.name], tyro.conf.arg(help=helps.get(field.name, ""))]
            default = defaults.get(field.name, field.default)
            fields.append((field.name, hint, dataclasses.field(default=default, kw_only=True)))
    return dataclasses.make_dataclass("Train", fields)


def _helps(owner: type) -> dict[str, str]:
    """The help of each field, from the docstrings of a class and its bases."""
    helps: dict[str, str] = {}
    for base in owner.__mro__:
        for entry in docstring_parser.parse(base.__doc__ or "").params:
            helps.setdefault(entry.arg_name, " ".join((entry.description or "").split()))
    return helps


def _show_result(result, source, workdir: Path, console: Console) -> None:
    figures = result.metrics
    if figures["acc"] is not None:
        console.print(f"{figures['method']}: {_figures(figures)}")
        if source.array is not None and source.array.size <= 10**7 and figures["method"] != "KMeans":
            console.print(f"k-means on the same samples: {_figures(_k_means_scores(source, result))}")
        console.print(f"({figures['protocol']}: {figures['seed']})")
    sizes = np.bincount(result.labels, minlength=figures["n_clusters"])
    console.print(f"samples a cluster: {', '.join(map(str, sizes))}")
    speed = f"{figures['images_per_second']:,.0f} images/s"
    console.print(f"{figures['seconds']:.1f} s, {speed}; results in {workdir}")


def _k_means_scores(source, result) -> dict[str, float]:
    import jax

    from jaxdc import cluster
    from jaxdc.training.report import scores

    x = result.prepared(source).array.reshape(source.n_samples, -1)[: source.n_reported]
    key = jax.random.key(result.metrics["seed"])
    labels = cluster.k_means(key, x, result.method.n_clusters, n_init=20).labels
    return scores(source.labels, np.asarray(labels))


def _figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{key.upper()} {figures[key]:.4f}" for key in ("acc", "nmi", "ari"))


class _stop_signals:
    """Within it, Ctrl-C and a polite kill ask for a checkpoint first; a second one ends at once."""

    def __enter__(self):
        self._asked = False
        self._old = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _ask(self, number, frame):
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked


def _refuse(sentence: str, console: Console) -> None:
    watch.end_all(2, sentence)
    console.print("error: ", style="red", end="")
    console.print(sentence)
    raise SystemExit(2) from None


COMMANDS = {"train": train, "predict": predict, "evaluate": evaluate, "run": run, "list": list_all}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``jaxdc``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    if arguments[0] == "--version":
        print(f"jaxdc {__version__}")
        return
    try:
        command, *rest = arguments
        if command not in COMMANDS:
            near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            raise InputError(f"there is no command {command!r}; {hint}")
        COMMANDS[command](rest, console)
    except InputError as error:
        _refuse(str(error), console)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        from jaxdc.checkpoint import disk_is_full

        if not disk_is_full(error):
            raise
        _refuse("the disk is full; free some space, and the same command goes on", console)
    except KeyboardInterrupt:
        watch.end_all(130, "stopped")
        console.print("stopped")
        raise SystemExit(130) from None
    except Exception as error:
        watch.fail_all(error)
        raise


if __name__ == "__main__":
    main()

"""The command: ``jaxdc train | predict | ... | list``. Thin: the work is in the library."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxdc import watch
from jaxdc.errors import InputError
from jaxdc.options import (
    DataOptions,
    DescribeOptions,
    EvaluateOptions,
    PredictOptions,
    ProbeOptions,
    RunOptions,
    TrainOptions,
    WorkspacesOptions,
    about,
    command_options,
    kind_of,
)
from jaxdc.version import __version__

USAGE = """usage: jaxdc COMMAND ...

  train METHOD --data DATA           cluster a data set
  predict WORKDIR --data DATA        the cluster of each new sample, as a table
  evaluate WORKDIR --data DATA       ACC, NMI and ARI of a run on labelled data
  describe WORKDIR                   what each cluster is about: sizes, key terms, members
  probe WORKDIR --data DATA          accuracy of a linear and a kNN classifier of a run's features
  run experiments/FILE.py            run a row of a published table over its seeds
  workspaces LOG                     which documents people use together, from a log of their accesses
  list                               the methods and the data sets

DATA is digits, a TensorFlow Datasets name (mnist, cifar10, ...), a .npy, .npz, .csv or .mat file,
a .txt, .jsonl or .csv file of texts, or a folder of images or of texts. Each command answers
to --help; train METHOD --help lists the hyper-parameters of that method.
"""


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
    parsed: Any = tyro.cli(command_options(make), args=rest, prog=f"jaxdc train {name}", description=about(make))
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
                init_from=options.init_from,
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
    source = options.open(console, result)
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
    from jaxdc import sharding, training

    options = tyro.cli(EvaluateOptions, args=arguments, prog="jaxdc evaluate")
    _join(options, console)
    result = training.load(options.workdir)
    source = options.open(console, result)
    scores = result.score(source)
    part = "" if source.n_reported is None else f"the {source.n_reported:,} labelled samples of "
    figures = {
        **scores,
        "n_clusters": result.method.n_clusters,
        "protocol": f"run {options.workdir} scored on {source.name}: {part}{source.protocol}",
    }
    if sharding.is_main_process():
        print(json.dumps(figures, indent=2))


def probe(arguments: Sequence[str], console: Console) -> None:
    """Trains a linear and a nearest-neighbour classifier on a run's features; prints JSON, and leaves it there."""
    from jaxdc import sharding, training
    from jaxdc.probe import check_settings
    from jaxdc.training import runfolder
    from jaxdc.training.probing import probe_run

    options = tyro.cli(ProbeOptions, args=arguments, prog="jaxdc probe")
    settings = {"k": options.k, "temperature": options.temperature, "seed": options.seed}
    check_settings(**settings)
    _join(options, console)
    result = training.load(options.workdir)
    train, test = options.parts()
    tested = None if test is None else test.open(console, result)
    figures = probe_run(result, train.open(console, result), tested, **settings, name=str(options.workdir))
    if not figures["linear_converged"]:
        console.print("the linear probe stopped before its minimum: its accuracy may be a little off")
    if sharding.is_main_process():
        print(json.dumps(figures, indent=2))
        with runfolder.full_disk_is_an_input_error(options.workdir):
            runfolder.write_json(options.workdir / "probe.json", figures)


def describe(arguments: Sequence[str], console: Console) -> None:
    """Says what each cluster is about: a table here, description.json and description.html in the run folder."""
    from jaxdc import training
    from jaxdc.training.describing import describe_run

    options = tyro.cli(DescribeOptions, args=arguments, prog="jaxdc describe")
    counts = {name: getattr(options, name) for name in ("n_terms", "n_members", "n_sentences")}
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, but is {count}")
    result = training.load(options.workdir)
    clusters = describe_run(result, options.workdir, data=options.data, **counts, say=console.print)
    about_texts = any(cluster.terms for cluster in clusters)
    table = Table("cluster", "samples", box=None, pad_edge=False)
    # A path that is cut short leads nowhere: what is too long for a line goes on in the next.
    table.add_column("terms" if about_texts else "most central samples", overflow="fold")
    for c in clusters:
        words = c.terms if about_texts else [member.sample for member in c.central]
        table.add_row(str(c.cluster), f"{c.size:,}", Text(", ".join(words)))
    Console().print(table)
    console.print(f"in full: {options.workdir / 'description.html'}, and description.json beside it")


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
            result = _fit(file.rows[row], file.views_of(row, source), train_options, workdir, console)
            figures.append({**result.metrics, **({} if test is None else result.score(test))})
            seconds = f"{figures[-1]['seconds']:.0f} s"
            console.print(f"{row + ', ' if row else ''}seed {seed}: {_figures(figures[-1])}, {seconds}")
    use = source.use if test is None else f"trained on them without labels and scored on {test.protocol}"
    protocol = f"{source.name}, {source.protocol}; {use}"
    title = f"{file.name}, recipe {recipe}; {protocol}; seeds {', '.join(map(str, seeds))}"
    if sharding.is_main_process():
        Console().print(experiment.results_table(title, measured, file.published))


def workspaces(arguments: Sequence[str], console: Console) -> None:
    """Finds which documents people use together, from a log of their accesses."""
    from jaxdc.workspaces import Finder, Towers, read_events, read_labels, read_texts, texts_in_order
    from jaxdc.workspaces import run as runs

    options = tyro.cli(WorkspacesOptions, args=arguments, prog="jaxdc workspaces")
    towers = {name: getattr(options, name) for name in ("epochs", "batch_size")}
    shared = ("similarity", "gap_minutes", "window_minutes", "n_neighbors", "n_terms", "stop_words")
    finder = Finder(
        **{name: getattr(options, name) for name in shared},
        towers=Towers(**{name: value for name, value in towers.items() if value is not None}),
    )
    columns = {"document": options.document_column}
    labelled = None if options.labels is None else Path(options.labels)
    a_file = labelled is not None and labelled.is_file()
    if labelled is not None and not a_file and options.texts is None:
        raise InputError(f"--labels {labelled} is no file; a column is one of --texts, which is not given")
    events = read_events(options.log, user=options.user_column, time=options.time_column, **columns)
    console.print(f"{events.name}: {len(events.times):,} accesses of {len(events.names):,} documents")
    texts, labels = None, read_labels(labelled, **columns) if labelled is not None and a_file else None
    if options.texts is not None:
        column = None if a_file else options.labels
        read = read_texts(options.texts, text=options.text_column, labels=column, **columns)
        labels = labels if a_file else read.labels
        unmatched = {"skip_unmatched": options.skip_unmatched, "say": console.print}
        texts = texts_in_order(events, read.texts, str(options.texts), **unmatched)
    workdir = options.workdir or Path("runs") / f"workspaces-{options.log.stem}-{options.seed}"
    figures = runs.run(
        finder,
        events,
        texts,
        workdir,
        labels=labels,
        seed=options.seed,
        fresh=options.fresh,
        say=console.print,
    )
    alone = f" and {figures['n_alone']:,} documents alone" if figures["n_alone"] else ""
    console.print(f"{figures['n_workspaces']:,} workspaces{alone}")
    if figures["nmi"] is not None:
        shown = f"F1 of pairs {figures['pairwise_f1']:.4f}, NMI {figures['nmi']:.4f}, ARI {figures['ari']:.4f}"
        console.print(f"{shown} ({figures['protocol']}, seed {figures['seed']})")
    console.print(f"{figures['seconds']:.1f} s; the workspace of each document is in {workdir / 'workspaces.csv'}")


def list_all(arguments: Sequence[str], console: Console) -> None:
    """Prints the methods and the data sets."""
    from jaxdc import methods
    from jaxdc.data.open import NAMES

    del arguments, console
    console = Console()
    table = Table("method", "recipes", "what it is", box=None, pad_edge=False)
    for name, make in methods.ALL.items():
        table.add_row(name, ", ".join(kind_of(make).recipe_names), about(make))
    console.print(table)
    console.print(
        f"\ndata sets by name: {', '.join(NAMES)} (all but digits need the extra jaxdc[data])", markup=False
    )


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


COMMANDS = {
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
    "describe": describe,
    "probe": probe,
    "run": run,
    "workspaces": workspaces,
    "list": list_all,
}


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

"""``jaxdc workspaces LOG``: which documents people use together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from jaxdc.errors import InputError
from jaxdc.workspaces import Finder, Towers, read_events, read_labels, read_texts, texts_in_order
from jaxdc.workspaces import run as runs


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkspacesOptions:
    """Options of ``jaxdc workspaces``.

    Attributes:
      log: of accesses, a .csv or .jsonl file, plain or .gz, of user, document and time, which is ISO 8601 or
        seconds since 1970.
      texts: what the documents say, such a file of document and text.
      labels: for scoring alone, the workspaces that documents are known to be in: a column of --texts, or a file
        of document and workspace.
      workdir: run folder; by default runs/workspaces-LOG-SEED.
      seed: of everything random.
      fresh: start over where the run folder holds a run.
      similarity: of documents: learned, or, to compare with, text (the cosine of tf-idf), or co-count (how often
        two were accessed together).
      user_column: of the log.
      document_column: of the log, the texts and the labels.
      time_column: of the log.
      text_column: of the texts; by default the one that is called so.
      skip_unmatched: go on where log and texts do not hold the same documents, without those of the texts alone,
        and by the log alone for those without a text.
      gap_minutes: a longer pause of a user ends a session.
      window_minutes: how far apart two accesses of a session may be to count as together.
      n_neighbors: of each document in the graph that is clustered.
      n_terms: of tf-idf, the most frequent words that are counted.
      stop_words: of tf-idf, english, or none, for texts in another language.
      epochs: passes of the training over the pairs of documents, by default 26; few pairs are passed over more
        often.
      batch_size: pairs a step.
    """

    log: tyro.conf.Positional[Path]
    texts: Path | None = None
    labels: str | None = None
    workdir: Path | None = None
    seed: int = 0
    fresh: bool = False
    similarity: Literal["learned", "text", "co-count"] = "learned"
    user_column: str = "user"
    document_column: str = "document"
    time_column: str = "time"
    text_column: str | None = None
    skip_unmatched: bool = False
    gap_minutes: float = 30.0
    window_minutes: float = 10.0
    n_neighbors: int = 10
    n_terms: int = 2000
    stop_words: Literal["english", "none"] = "english"
    epochs: float | None = None
    batch_size: int | None = None


def main(arguments: Sequence[str], console: Console) -> None:
    """Finds which documents people use together, from a log of their accesses."""
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

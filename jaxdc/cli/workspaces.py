"""``jaxdc workspaces LOG``: finds documents that people use together."""

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
    """Finds documents that people use together, from an access log.

    Attributes:
      log: access log, a .csv or .jsonl file (plain or .gz) with user, document and time; times are ISO 8601 or
        seconds since 1970.
      texts: texts of the documents, a file of the same formats with document and text.
      labels: known workspaces of documents, used only for scoring: a column of --texts, or a file of document
        and workspace.
      workdir: run folder; defaults to runs/workspaces-LOG-SEED.
      seed: random seed.
      fresh: replace the run in the run folder.
      similarity: similarity between documents: learned, or one of two baselines: text (cosine of tf-idf) or
        co-count (how often two were accessed together).
      user_column: column of the user in the log.
      document_column: column of the document in the log, the texts and the labels.
      time_column: column of the time in the log.
      text_column: column of the text in --texts; defaults to the first of text, sentence, content, body, abstract,
        description and title that is there.
      skip_unmatched: continue if log and texts do not hold the same documents: drop those without an access, and
        use the log alone for those without a text.
      gap_minutes: pause of a user that ends a session.
      window_minutes: longest time between two accesses of a session that count as together.
      n_neighbors: number of neighbours of each document in the graph that is clustered.
      n_terms: size of the tf-idf vocabulary.
      stop_words: stop words that tf-idf leaves out: english, or none for texts in another language.
      epochs: passes over the pairs of documents; defaults to 26, or more if there are few pairs.
      batch_size: pairs per step.
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
    """Finds documents that people use together, from an access log."""
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
        raise InputError(f"--labels {labelled} is not a file; to use a column, also pass --texts")
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

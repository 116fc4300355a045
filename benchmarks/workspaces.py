"""Workspaces from made logs, whose truth is known: what is learnt against the texts alone and the counts alone.

    python benchmarks/workspaces.py
    python benchmarks/workspaces.py --sessions 60

One log a seed, of 40 workspaces of 4 to 80 documents and 60 users (``jaxdc.workspaces.LogMaker``); ``--sessions``
says how many each user has, which is how often documents that belong together are seen together. All rows make a
graph of the documents, the same hierarchy of it, and the same cut by held-out sessions; nobody is told how many
workspaces there are. Scored on the documents that are of one. Mean ± standard deviation over the seeds, of which
none was used to choose anything.

Measured on two CPU cores shared with other work; 5 to 14 s a log for what is learnt, under 1 s for the others:

    sessions a user              F1 of pairs      NMI              ARI              workspaces (40 are true)
    8   learned, with texts      .437 ± .064      .718 ± .032      .415 ± .065      38 ± 11
        learned, the log alone   .297 ± .056      .661 ± .020      .275 ± .055      47 ± 13
        texts alone              .435 ± .038      .655 ± .015      .390 ± .038      10 ± 1
        counts alone             .296 ± .044      .630 ± .012      .269 ± .041      39 ± 11
    20  learned, with texts      .726 ± .052      .858 ± .022      .712 ± .056      31 ± 4
        learned, the log alone   .523 ± .051      .778 ± .019      .504 ± .053      38 ± 3
        texts alone              .401 ± .053      .636 ± .041      .353 ± .055      10 ± 4
        counts alone             .478 ± .023      .743 ± .029      .456 ± .024      41 ± 7
    60  learned, with texts      .910 ± .056      .953 ± .021      .905 ± .059      29 ± 2
        learned, the log alone   .913 ± .006      .949 ± .008      .909 ± .005      29 ± 4
        texts alone              .425 ± .034      .647 ± .025      .376 ± .042      10 ± 1
        counts alone             .863 ± .027      .929 ± .013      .855 ± .029      36 ± 3

With few sessions the texts carry it, with many the counts nearly suffice; between, what is learnt from both is far
above either. Small workspaces of one subject are joined where the log is short of sessions that tell them apart.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from jaxdc.experiment import mean_and_std
from jaxdc.workspaces import Finder, LogMaker
from jaxdc.workspaces.run import scores

ROWS = {
    "learned, with texts": ("learned", True),
    "learned, from the log alone": ("learned", False),
    "texts alone": ("text", True),
    "counts alone": ("co-count", False),
}
COLUMNS = ("pairwise_f1", "nmi", "ari", "n_workspaces", "seconds")


def measure(maker: LogMaker, finder: Finder, seed: int) -> dict[str, dict[str, float]]:
    """The figures of each row on the log of one seed."""
    made, figures = maker.make(seed), {}
    truth = [None if one < 0 else str(one) for one in made.workspaces.tolist()]
    for name, (similarity, with_texts) in ROWS.items():
        began = time.perf_counter()
        chosen = dataclasses.replace(finder, similarity=similarity)
        found = chosen.find(made.events, made.texts if with_texts else None, seed=seed)
        row = figures[name] = {**found.figures, **scores(found.labels, truth)}
        row["seconds"] = time.perf_counter() - began
        print(f"seed {seed}, {name}: " + ", ".join(f"{key} {row[key]:.4g}" for key in COLUMNS), flush=True)
    return figures


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 1001, 1002, 1003, 1004])
    parser.add_argument("--sessions", type=int, default=LogMaker().n_sessions, help="sessions of each user")
    parser.add_argument("--workspaces", type=int, default=LogMaker().n_workspaces, help="workspaces of a log")
    parser.add_argument("--epochs", type=float, default=Finder().towers.epochs)
    options = parser.parse_args()
    maker = LogMaker(n_sessions=options.sessions, n_workspaces=options.workspaces)
    finder = Finder(towers=dataclasses.replace(Finder().towers, epochs=options.epochs))
    runs = [measure(maker, finder, seed) for seed in options.seeds]
    real = np.mean([len(np.unique(maker.make(seed).workspaces)) - 1 for seed in options.seeds])
    table = Table("similarity", "F1 of pairs", "NMI", "ARI", f"workspaces ({real:.0f} are true)", "seconds")
    table.title = f"{options.sessions} sessions a user, seeds {options.seeds}"
    for name in ROWS:
        table.add_row(name, *(mean_and_std([run[name][column] for run in runs]) for column in COLUMNS))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()

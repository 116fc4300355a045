"""``jaxdc duplicates WORKDIR``: lists exact and near duplicates among the samples of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxdc.duplicates import duplicates_of_run
from jaxdc.duplicates.run import TABLE

SHOWN, NAMES = 10, 3  # groups, and names of each, that are printed


@dataclasses.dataclass(frozen=True, kw_only=True)
class DuplicatesOptions:
    """Lists the duplicates among the pictures or texts of a run, and writes duplicates.csv to its folder.

    Attributes:
      workdir: folder of a finished run.
      data: path of the samples, if they have moved since training.
      on: what to compare: the samples themselves (pictures or texts), or their features in this run.
      threshold: least cosine of near duplicates.
    """

    workdir: tyro.conf.Positional[Path]
    data: str | None = None
    on: Literal["samples", "embedding"] = "samples"
    threshold: float = 0.98


def main(arguments: Sequence[str], console: Console) -> None:
    """Lists the duplicates among the samples of a run."""
    options = tyro.cli(DuplicatesOptions, args=arguments, prog="jaxdc duplicates")
    settings = {name: getattr(options, name) for name in ("data", "on", "threshold")}
    found, results = duplicates_of_run(options.workdir, **settings, say=console.print)
    if found.near:
        table = Table("samples", "clusters", "such as", box=None, pad_edge=False)
        for group in sorted(found.near, key=len, reverse=True)[:SHOWN]:
            names = [str(row) if results.sample_names is None else results.sample_names[row] for row in group]
            clusters = sorted({int(results.labels[row]) for row in group})
            more = ", ..." if len(names) > NAMES else ""
            table.add_row(str(len(group)), ", ".join(map(str, clusters)), Text(", ".join(names[:NAMES]) + more))
        Console().print(table)
    console.print(
        f"{found.n_exact:,} samples are equal to an earlier one; with near duplicates {found.n_near:,}, in "
        f"{len(found.near):,} groups: {options.workdir / TABLE}"
    )

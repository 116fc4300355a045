"""``jaxdc describe WORKDIR``: describes each cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxdc import runs
from jaxdc.cli.options import counts
from jaxdc.describe.run import describe_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class DescribeOptions:
    """Describes each cluster by size, key terms and typical members.

    Attributes:
      workdir: folder of a finished run.
      data: path of the samples, if they have moved since training.
      n_terms: maximum number of key terms per cluster of texts.
      n_members: maximum number of central samples, and of doubtful ones, per cluster.
      n_sentences: maximum number of sentences in the summary of a cluster of texts.
    """

    workdir: tyro.conf.Positional[Path]
    data: str | None = None
    n_terms: int = 10
    n_members: int = 5
    n_sentences: int = 3


def main(arguments: Sequence[str], console: Console) -> None:
    """Describes each cluster: prints a table, and writes description.json to the run folder."""
    options = tyro.cli(DescribeOptions, args=arguments, prog="jaxdc describe")
    most = counts(options, "n_terms", "n_members", "n_sentences")
    result = runs.load(options.workdir)
    clusters = describe_run(result, options.workdir, data=options.data, **most, say=console.print)
    about_texts = any(cluster.terms for cluster in clusters)
    table = Table("cluster", "samples", box=None, pad_edge=False)
    # A truncated path is useless, so long cells wrap onto the next line.
    table.add_column("terms" if about_texts else "most central samples", overflow="fold")
    for c in clusters:
        words = c.terms if about_texts else [member.sample for member in c.central]
        title = str(c.cluster) if c.name is None else f"{c.cluster} ({c.name})"
        table.add_row(Text(title), f"{c.size:,}", Text(", ".join(words)))
    Console().print(table)
    console.print(
        f"wrote {options.workdir / 'description.json'}; to see the samples: jaxdc report {options.workdir}"
    )

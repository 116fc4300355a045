"""``jaxdc describe WORKDIR``: what each cluster is about."""

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
    """Options of ``jaxdc describe``.

    Attributes:
      workdir: folder of a finished run.
      data: where its samples are, if they have moved since.
      n_terms: terms a cluster of texts, at most.
      n_members: central, and doubtful, samples a cluster, at most.
      n_sentences: of the summary of a cluster of texts, at most.
    """

    workdir: tyro.conf.Positional[Path]
    data: str | None = None
    n_terms: int = 10
    n_members: int = 5
    n_sentences: int = 3


def main(arguments: Sequence[str], console: Console) -> None:
    """Says what each cluster is about: a table here, and description.json in the run folder."""
    options = tyro.cli(DescribeOptions, args=arguments, prog="jaxdc describe")
    most = counts(options, "n_terms", "n_members", "n_sentences")
    result = runs.load(options.workdir)
    clusters = describe_run(result, options.workdir, data=options.data, **most, say=console.print)
    about_texts = any(cluster.terms for cluster in clusters)
    table = Table("cluster", "samples", box=None, pad_edge=False)
    # A path that is cut short leads nowhere: what is too long for a line goes on in the next.
    table.add_column("terms" if about_texts else "most central samples", overflow="fold")
    for c in clusters:
        words = c.terms if about_texts else [member.sample for member in c.central]
        table.add_row(str(c.cluster), f"{c.size:,}", Text(", ".join(words)))
    Console().print(table)
    console.print(f"in full: {options.workdir / 'description.json'}; to look at: jaxdc report {options.workdir}")

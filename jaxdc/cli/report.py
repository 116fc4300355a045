"""``jaxdc report WORKDIR``: all of a run on one page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from jaxdc.cli.options import counts
from jaxdc.report.run import report_folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Options of ``jaxdc report``.

    Attributes:
      workdir: run folder; the page says what it lacks.
      data: where its samples are, if they have moved since.
      n_members: central, and doubtful, samples a cluster, at most.
      n_points: samples on the map, at most.
    """

    workdir: tyro.conf.Positional[Path]
    data: str | None = None
    n_members: int = 5
    n_points: int = 2000


def main(arguments: Sequence[str], console: Console) -> None:
    """Writes report.html, all of a run on one page, into its folder."""
    options = tyro.cli(ReportOptions, args=arguments, prog="jaxdc report")
    most = counts(options, "n_members", "n_points")

    page = report_folder(options.workdir, data=options.data, **most, say=console.print)
    console.print(f"to look at: {page}")

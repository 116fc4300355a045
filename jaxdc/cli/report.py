"""``jaxdc report WORKDIR``: writes a report of the run as one HTML page."""

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
    """Writes report.html, a single page about the run, to the run folder.

    Attributes:
      workdir: run folder; the page lists what is missing from an unfinished one.
      data: path of the samples, if they have moved since training.
      n_members: maximum number of central samples, and of doubtful ones, per cluster.
      n_points: maximum number of samples on the map.
    """

    workdir: tyro.conf.Positional[Path]
    data: str | None = None
    n_members: int = 5
    n_points: int = 2000


def main(arguments: Sequence[str], console: Console) -> None:
    """Writes report.html, a single page about the run, to the run folder."""
    options = tyro.cli(ReportOptions, args=arguments, prog="jaxdc report")
    most = counts(options, "n_members", "n_points")

    page = report_folder(options.workdir, data=options.data, **most, say=console.print)
    console.print(f"report: {page}")

"""``jaxdc export WORKDIR``: sorts images into a folder per cluster, or writes a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from jaxdc.export.run import export_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Sorts the samples of a run into a folder per cluster, or writes them as a table.

    Attributes:
      workdir: folder of a finished run.
      to: folders (one per cluster, with links to its images), or a table: csv, parquet or npz.
      output: path to write to; defaults to clusters, with the suffix of the format, in the run folder.
      data: path of the samples, if they have moved since training.
      copy: copy the images instead of linking to them.
    """

    workdir: tyro.conf.Positional[Path]
    to: Literal["folders", "csv", "parquet", "npz"]
    output: Path | None = None
    data: str | None = None
    copy: tyro.conf.FlagCreatePairsOff[bool] = False


def main(arguments: Sequence[str], console: Console) -> None:
    """Sorts the samples of a run into a folder per cluster, or writes them as a table."""
    options = tyro.cli(ExportOptions, args=arguments, prog="jaxdc export")
    settings = {name: getattr(options, name) for name in ("data", "copy")}
    written = export_run(options.workdir, options.to, options.output, **settings, say=console.print)
    console.print(f"wrote {written}")

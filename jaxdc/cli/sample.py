"""``jaxdc sample WORKDIR``: draws new samples of the clusters of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from jaxdc.sample import sample_run


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Draws new samples of the clusters of a run whose method has a distribution for each, such as vade.

    Attributes:
      workdir: folder of a finished run.
      cluster: numbers of the clusters; by default all.
      count: samples of each.
      output: file to write: .png (a grid, with a row for each cluster), .csv, .npy or .npz; defaults to
        samples.png or samples.csv in the run folder.
      seed: random seed.
    """

    workdir: tyro.conf.Positional[Path]
    cluster: tuple[int, ...] = ()
    count: int = 16
    output: Path | None = None
    seed: int = 0


def main(arguments: Sequence[str], console: Console) -> None:
    """Draws new samples of the clusters of a run."""
    options = tyro.cli(SampleOptions, args=arguments, prog="jaxdc sample")
    settings = {name: getattr(options, name) for name in ("count", "output", "seed")}
    written = sample_run(options.workdir, options.cluster, **settings)
    console.print(f"wrote {written}")

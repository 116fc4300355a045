"""``jaxdc choose-k``: recommends a number of clusters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from jaxdc.choose_k.page import recommendation
from jaxdc.choose_k.run import run
from jaxdc.cli.options import EMBEDDINGS, DataOptions
from jaxdc.settings import seed_of

SCORES = ("silhouette", "davies_bouldin", "stability")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChooseKOptions(DataOptions):
    """Scores numbers of clusters without labels, and recommends one.

    Attributes:
      least: smallest number of clusters to try.
      most: largest number of clusters to try.
      embedding: space in which clusterings are compared: autoencoder (trained first), or input for samples that
        are embeddings already.
      init_from: folder of a finished run whose features are used instead.
      workdir: output folder; defaults to runs/choose-k-DATA-SEED.
      seed: random seed.
      epochs: passes over the data to train the autoencoder for.
      fresh: retrain the autoencoder.
      standardize: scale the columns of a table to mean 0 and variance 1.
    """

    least: Annotated[int, tyro.conf.arg(name="from")] = 2
    most: Annotated[int, tyro.conf.arg(name="to")] = 30
    embedding: Literal["autoencoder", "input"] = "autoencoder"
    init_from: Path | None = None
    workdir: Path | None = None
    seed: int = 0
    epochs: float | None = None
    fresh: bool = False
    standardize: bool = False


def main(arguments: Sequence[str], console: Console) -> None:
    """Scores numbers of clusters without labels, and recommends one."""
    options = tyro.cli(ChooseKOptions, args=arguments, prog="jaxdc choose-k")
    seed_of(options.seed, "--seed")
    workdir = options.workdir or Path("runs") / f"choose-k-{Path(options.data).stem}-{options.seed}"
    source = options.open(console, cache=workdir.parent / EMBEDDINGS)
    settings = ("embedding", "init_from", "seed", "epochs", "fresh", "standardize")
    content = run(
        source,
        workdir,
        range(options.least, options.most + 1),
        **{name: getattr(options, name) for name in settings},
        say=console.print,
    )
    table = Table(
        "clusters", "silhouette", "Davies-Bouldin (lower is better)", "stability", box=None, pad_edge=False
    )
    for row in content["scores"]:
        mark = {content["k"]: " *"}.get(row["k"], " ." if row["k"] in content["as_good"] else "")
        shown = ("-" if row[name][0] is None else "{:.3f} ± {:.3f}".format(*row[name]) for name in SCORES)
        table.add_row(f"{row['k']}{mark}", *shown)
    Console().print(table)
    console.print(recommendation(content))
    console.print(f"report: {workdir / 'choose_k.html'}; next: jaxdc train METHOD --n-clusters {content['k']}")

"""``jaxdc choose-k``: how many clusters there may be."""

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

SCORES = ("silhouette", "davies_bouldin", "stability")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChooseKOptions(DataOptions):
    """Options of ``jaxdc choose-k``.

    Attributes:
      least: smallest number of clusters to look at.
      most: largest.
      embedding: in what the numbers are compared: autoencoder, which is trained first, or input, the samples as
        they are, such as what a model has embedded already.
      init_from: folder of a finished run, whose features are taken instead.
      workdir: folder to write to; by default runs/choose-k-DATA-SEED.
      seed: of everything random.
      epochs: of the autoencoder's training, in passes over the data.
      fresh: train the autoencoder anew.
      standardize: bring the columns of a table to mean 0 and variance 1.
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
    console.print(
        f"to look at: {workdir / 'choose_k.html'}; go on with jaxdc train METHOD --n-clusters {content['k']}"
    )

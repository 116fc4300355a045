"""``jaxdc evaluate WORKDIR``: ACC, NMI and ARI of a run on labelled data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from jaxdc import runs
from jaxdc.cli.fit import join
from jaxdc.cli.options import EMBEDDINGS, DataOptions
from jaxdc.distributed import sharding


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions):
    """Scores a run on labelled data; prints JSON.

    Attributes:
      workdir: folder of a finished run.
    """

    workdir: tyro.conf.Positional[Path]


def main(arguments: Sequence[str], console: Console) -> None:
    """Scores a run on labelled data; prints JSON."""
    options = tyro.cli(EvaluateOptions, args=arguments, prog="jaxdc evaluate")
    join(options, console)
    result = runs.load(options.workdir)
    source = options.open(console, result, cache=options.workdir.parent / EMBEDDINGS)
    scores = result.score(source)
    part = "" if source.n_reported is None else f"the {source.n_reported:,} labelled samples of "
    figures = {
        **scores,
        "n_clusters": result.n_clusters,
        "protocol": f"run {options.workdir} scored on {source.name}: {part}{source.protocol}",
    }
    if sharding.is_main_process():
        print(json.dumps(figures, indent=2))

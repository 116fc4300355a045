"""``jaxdc predict WORKDIR``: writes a table with the cluster of each new sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from jaxdc import runs
from jaxdc.cli.fit import join
from jaxdc.cli.options import EMBEDDINGS, DataOptions
from jaxdc.data.text.progress import Progress
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.runs import runfolder
from jaxdc.writing import full_disk_is_an_input_error, output

PREDICT_BYTES = 2**26  # most bytes of samples held in memory at once, if their format can be streamed


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(DataOptions):
    """Assigns new samples to the clusters of a run.

    Attributes:
      workdir: folder of a finished run.
      output: CSV file to write, with the columns sample, cluster and confidence.
    """

    workdir: tyro.conf.Positional[Path]
    output: Path


def main(arguments: Sequence[str], console: Console) -> None:
    """Writes the cluster of each new sample."""
    options = tyro.cli(PredictOptions, args=arguments, prog="jaxdc predict")
    if not options.output.absolute().parent.is_dir():
        raise InputError(
            f"can't write {options.output.name}: there is no folder {options.output.absolute().parent}"
        )
    join(options, console)
    result = runs.load(options.workdir)
    cache = options.workdir.parent / EMBEDDINGS
    source = options.open(console, result, most_bytes=PREDICT_BYTES, cache=cache)
    if not sharding.is_main_process():
        for _ in result.predict_source(source):
            pass  # this process computes its share; process 0 writes
        return
    with (
        full_disk_is_an_input_error(options.output),
        output(options.output) as file,
        Progress("predicting", source.n_samples, console.print) as progress,
    ):
        table = runfolder.AssignmentTable(file, result.edits.names)
        for part in result.predict_source(source):
            table.write(part.rows, part.probabilities, source.sample_names)
            progress.advance(len(part.rows))
    console.print(f"{source.n_samples:,} samples of {source.name}: clusters written to {options.output}")

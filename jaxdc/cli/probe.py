"""``jaxdc probe WORKDIR``: what classifiers make of a run's features."""

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
from jaxdc.data import split_names
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.probe import check_settings
from jaxdc.probe.run import probe_run
from jaxdc.runs import runfolder


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeOptions(DataOptions):
    """Options of ``jaxdc probe``. Train and test part are what --split and --test-split, or --test-data, name.

    Without these, splits called train and test are taken where the data have them, and elsewhere half of each
    class is held out to test on.

    Attributes:
      workdir: folder of a finished run.
      test_split: splits to test on, of --test-data where that is given; else of --data, whose split train is then
        trained on unless --split says otherwise.
      test_data: other data to test on, such as a second file or folder.
      k: nearest training samples that vote; all, where there are fewer.
      temperature: of their votes, exp(cosine / temperature).
      seed: of the half that is held out, and of the tenth of the training part that chooses the L2 term.
    """

    workdir: tyro.conf.Positional[Path]
    test_split: str | None = None
    test_data: str | None = None
    k: int = 200
    temperature: float = 0.07
    seed: int = 0

    def parts(self) -> tuple[DataOptions, DataOptions | None]:
        """What to train and what to test on; None: half of each class of the one is held out.

        Raises:
          InputError: a split is in both, or the data have none.
        """
        if self.test_data is not None:
            return self, dataclasses.replace(self, data=self.test_data, split=self.test_split or "all")
        splits = split_names(self.data, data_dir=self.data_dir, download=self.download)
        if self.test_split is None and not (self.split == "all" and {"train", "test"} <= set(splits)):
            return self, None
        if not splits:
            raise InputError(
                f"{self.data} has no splits, so --test-split names nothing: give --test-data, or leave both away "
                "and half of each class is held out"
            )
        train = "train" if self.split == "all" and "train" in splits else self.split
        test = self.test_split or "test"
        named = [set(splits if part == "all" else part.split("+")) for part in (train, test)]
        if named[0] & named[1]:
            raise InputError(
                f"a probe can't be tested on what it is trained on, but --split {train} and --test-split {test} "
                "have samples in common"
            )
        return dataclasses.replace(self, split=train), dataclasses.replace(self, split=test)


def main(arguments: Sequence[str], console: Console) -> None:
    """Trains a linear and a nearest-neighbour classifier on a run's features; prints JSON, and leaves it there."""
    options = tyro.cli(ProbeOptions, args=arguments, prog="jaxdc probe")
    settings = {"k": options.k, "temperature": options.temperature, "seed": options.seed}
    check_settings(**settings)
    join(options, console)
    result = runs.load(options.workdir)
    train, test = options.parts()
    cache = options.workdir.parent / EMBEDDINGS
    tested = None if test is None else test.open(console, result, cache=cache)
    trained = train.open(console, result, cache=cache)
    figures = probe_run(result, trained, tested, **settings, name=str(options.workdir))
    if not figures["linear_converged"]:
        console.print("the linear probe stopped before its minimum: its accuracy may be a little off")
    if sharding.is_main_process():
        print(json.dumps(figures, indent=2))
        with runfolder.full_disk_is_an_input_error(options.workdir):
            runfolder.write_json(options.workdir / "probe.json", figures)

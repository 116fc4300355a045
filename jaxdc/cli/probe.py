"""``jaxdc probe WORKDIR``: measures a run's features with simple classifiers."""

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
from jaxdc.writing import full_disk_is_an_input_error, write_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeOptions(DataOptions):
    """Measures a run's features with a linear and a nearest-neighbour classifier.

    --split selects the training part, --test-split or --test-data the test part. Without them, the splits called
    train and test are used if the data have them; otherwise half of each class is held out as the test part.

    Attributes:
      workdir: folder of a finished run.
      test_split: splits to test on, from --test-data if given, else from --data (then trained on its train split
        unless --split says otherwise).
      test_data: other data to test on, such as a second file or folder.
      k: number of nearest training samples that vote; all, if there are fewer.
      temperature: temperature of the votes, which are weighted by exp(cosine / temperature).
      seed: random seed for the held-out half, and for the tenth of the training part that selects the L2 penalty.
    """

    workdir: tyro.conf.Positional[Path]
    test_split: str | None = None
    test_data: str | None = None
    k: int = 200
    temperature: float = 0.07
    seed: int = 0

    def parts(self) -> tuple[DataOptions, DataOptions | None]:
        """The training part, and the test part or None to hold out half of each class.

        Raises:
          InputError: the two parts share a split, or the data have no splits.
        """
        if self.test_data is not None:
            return self, dataclasses.replace(self, data=self.test_data, split=self.test_split or "all")
        splits = split_names(self.data, data_dir=self.data_dir, download=self.download)
        if self.test_split is None and not (self.split == "all" and {"train", "test"} <= set(splits)):
            return self, None
        if not splits:
            raise InputError(
                f"--test-split needs splits, but {self.data} has none: pass --test-data, or neither option to "
                "hold out half of each class"
            )
        train = "train" if self.split == "all" and "train" in splits else self.split
        test = self.test_split or "test"
        named = [set(splits if part == "all" else part.split("+")) for part in (train, test)]
        if named[0] & named[1]:
            raise InputError(
                f"--split {train} and --test-split {test} have samples in common: a probe must be tested on "
                "samples that it was not trained on"
            )
        return dataclasses.replace(self, split=train), dataclasses.replace(self, split=test)


def main(arguments: Sequence[str], console: Console) -> None:
    """Trains a linear and a nearest-neighbour classifier on a run's features; prints JSON and saves it there."""
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
        console.print("the linear probe did not fully converge: its accuracy may be slightly off")
    if sharding.is_main_process():
        print(json.dumps(figures, indent=2))
        with full_disk_is_an_input_error(options.workdir):
            write_json(options.workdir / "probe.json", figures)

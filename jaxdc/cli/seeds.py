"""``jaxdc train --seeds 0 1 2``: the same run with several seeds, and the one that agrees most with the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.runs.agreement import Agreement, agreement
from jaxdc.runs.result import Result
from jaxdc.settings import seed_of
from jaxdc.writing import full_disk_is_an_input_error, write_json


def train_seeds(options: Any, train: Callable[[Any], Result | None], name: str, console: Console) -> None:
    """Trains with each seed in a folder of its own, and compares the results.

    Writes ``...-seeds.json`` beside the folders.

    Args:
      options: the options of the command, with ``seeds``.
      train: trains with the options of one seed.
      name: what the folders are called, before the seed, unless ``workdir`` says.
      console: where to print.

    Raises:
      InputError: seeds repeat, or are given by --seed too.
    """
    seeds = [seed_of(seed, "--seeds") for seed in options.seeds]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"--seeds names a seed twice: {' '.join(map(str, seeds))}")
    if options.seed != 0:
        raise InputError("--seed and --seeds exclude each other: pass one of them")
    stem = options.workdir or Path("runs") / name
    folders = [stem.with_name(f"{stem.name}-{seed}") for seed in seeds]
    results = []
    for seed, folder in zip(seeds, folders, strict=True):
        console.print(f"seed {seed}:")
        results.append(train(dataclasses.replace(options, seed=seed, seeds=(), workdir=folder)))
    trained = [result for result in results if result is not None]
    if len(trained) < 2 or not sharding.is_main_process():
        return
    found = agreement([result.labels for result in trained])
    _show(found, trained, folders, console)
    place = stem.with_name(f"{stem.name}-seeds.json")
    with full_disk_is_an_input_error(place.parent):
        write_json(place, _content(found, trained, folders))
    console.print(f"kept as the best: {folders[found.best]}, which agrees most with the others; table: {place}")


def _show(found: Agreement, results: list[Result], folders: list[Path], console: Console) -> None:
    scored = [result.metrics for result in results if result.metrics["acc"] is not None]
    for folder, result, mean in zip(folders, results, found.means.tolist(), strict=True):
        scores = "".join(f"{key.upper()} {result.metrics[key]:.4f}, " for key in ("acc", "nmi", "ari") if scored)
        console.print(f"{folder}: {scores}agreement with the others {mean:.4f}")
    if scored:
        shown = ", ".join("{} {:.4f} ± {:.4f}".format(key.upper(), *_mean(scored, key)) for key in _SCORES)
        console.print(f"mean ± standard deviation of {len(scored)} seeds: {shown}")
    console.print(f"agreement between seeds (mean ARI of two): {found.mean:.4f}")


_SCORES = ("acc", "nmi", "ari")


def _mean(scored: list[dict[str, Any]], key: str) -> tuple[float, float]:
    import numpy as np

    values = [one[key] for one in scored]
    return float(np.mean(values)), float(np.std(values, ddof=1))


def _content(found: Agreement, results: list[Result], folders: list[Path]) -> dict[str, Any]:
    runs = [
        {
            "run": str(folder),
            "seed": result.metrics["seed"],
            **{key: result.metrics[key] for key in _SCORES},
            "agreement": mean,
        }
        for folder, result, mean in zip(folders, results, found.means.tolist(), strict=True)
    ]
    return {
        "runs": runs,
        "agreement": found.mean,
        "ari": found.ari.tolist(),
        "best": str(folders[found.best]),
        "protocol": results[0].metrics["protocol"].replace("one seed", f"{len(results)} seeds"),
    }

"""Shared by ``train`` and ``run``: joining other processes, and an interruptible fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from jaxdc import runs
from jaxdc.cli.options import DataOptions, RunOptions, TrainOptions
from jaxdc.cli.stopping import StopSignals, end_process
from jaxdc.distributed import hosts, sharding, watch
from jaxdc.errors import InputError
from jaxdc.methods.base import Schedule
from jaxdc.train.snapshot import newest_place
from jaxdc.train.stage_run import Stopped


def join(options: DataOptions | RunOptions, console: Console) -> None:
    """Joins the other processes, if there are any; only process 0 prints."""
    if options.distributed and options.no_distributed:
        raise InputError("--distributed and --no-distributed exclude each other: pass one of them")
    if hosts.join(options.distributed or (False if options.no_distributed else None)):
        console.quiet = not sharding.is_main_process()


def fit(
    method,
    source,
    options: TrainOptions,
    workdir: Path,
    console: Console,
    flags: dict[str, Any] | None = None,
) -> runs.Result:
    """Fits with a progress bar; an interrupted run saves a checkpoint and exits with code 130."""
    watch.advise(lambda: newest_place(workdir / "checkpoints"))

    def end() -> None:
        sentence = f"stopped: run the same command again to resume from {newest_place(workdir / 'checkpoints')}"
        watch.end_all(130, sentence)
        console.show_cursor(True)
        console.print(sentence)
        end_process(130)

    with StopSignals(end) as stop:
        try:
            result = runs.fit(
                method,
                source,
                **settings(options),
                workdir=workdir,
                fresh=options.fresh,
                from_last_good=options.from_last_good,
                progress=True,
                checkpoint_seconds=options.checkpoint_minutes * 60,
                should_stop=stop.requested,
                track=options.trackers(),
                probe_epochs=options.probe_epochs,
                flags=flags,
            )
        except Stopped:
            console.print(f"stopped; a checkpoint is in {workdir}: run the same command again to resume")
            raise SystemExit(130) from None
        if stop.requested():  # too late for this run, but not for the next seed or row
            console.print(f"stopped; the run in {workdir} has finished")
            raise SystemExit(130)
        return result


def settings(options: TrainOptions) -> dict[str, Any]:
    """The settings that determine a run."""
    return {
        "recipe": options.recipe,
        "seed": options.seed,
        "init_from": options.init_from,
        "standardize": options.standardize,
        "copies": options.copies,
        "resident_bytes": int(options.resident_gib * 2**30),
        "schedule": Schedule(
            epochs=options.epochs,
            pretrain_epochs=options.pretrain_epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            encoder_rate=options.encoder_rate,
            layer_decay=options.layer_decay,
        ),
    }


def shown(figures: dict[str, float]) -> str:
    """ACC, NMI and ARI on one line."""
    return ", ".join(f"{key.upper()} {figures[key]:.4f}" for key in ("acc", "nmi", "ari"))

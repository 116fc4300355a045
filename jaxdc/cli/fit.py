"""Shared by ``train`` and ``run``: joining other processes, and an interruptible fit."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxdc import runs
from jaxdc.cli.options import DataOptions, RunOptions, TrainOptions
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


def fit(method, source, options: TrainOptions, workdir: Path, console: Console) -> runs.Result:
    """Fits with a progress bar; an interrupted run saves a checkpoint and exits with code 130."""
    watch.advise(lambda: newest_place(workdir / "checkpoints"))
    with _stop_signals() as stop:
        try:
            return runs.fit(
                method,
                source,
                **settings(options),
                workdir=workdir,
                fresh=options.fresh,
                progress=True,
                checkpoint_seconds=options.checkpoint_minutes * 60,
                should_stop=stop.requested,
                track=options.trackers(),
                probe_epochs=options.probe_epochs,
            )
        except Stopped:
            console.print(f"stopped; a checkpoint is in {workdir}: run the same command again to resume")
            raise SystemExit(130) from None


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


class _stop_signals:
    """Makes the first Ctrl-C or SIGTERM request a checkpoint; a second one exits at once."""

    def __enter__(self):
        self._asked = False
        self._old = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _ask(self, number, frame):
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._asked

"""``jaxdc train METHOD --estimate``: measures time and memory before training."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from jaxdc.cli.fit import settings
from jaxdc.cli.options import TrainOptions
from jaxdc.distributed import sharding
from jaxdc.runs.forecast import forecast
from jaxdc.runs.progress import duration


def show_forecast(method, source, options: TrainOptions, console: Console) -> None:
    """Runs the first steps of each stage, and prints a line for each."""
    stages = forecast(method, source, **settings(options))
    if not sharding.is_main_process():
        return
    table = Table("stage", box=None, pad_edge=False)
    for title in ("steps", "per step", "refreshes", "per refresh", "time", "memory"):
        table.add_column(title, justify="right")
    for stage in stages:
        if stage.n_steps == 0:
            table.add_row(stage.method, "-", "-", "-", "-", "not measured", "-")
            continue
        table.add_row(
            stage.method,
            f"{stage.n_steps:,}",
            _short(stage.step_seconds),
            f"{stage.n_refreshes:,}" if stage.n_refreshes else "-",
            _short(stage.refresh_seconds) if stage.n_refreshes else "-",
            ("at most " if stage.may_end_early else "") + duration(stage.seconds),
            "-" if stage.memory is None else stage.memory.in_all(),
        )
    Console().print(table)
    for stage in stages:
        if stage.warning is not None:
            console.print(f"warning: {stage.warning}", style="yellow")
    if not any(stage.n_steps for stage in stages):
        console.print("this method has no gradient steps to measure; nothing was written")
        return
    at_most = "at most " if any(stage.may_end_early for stage in stages) else ""
    first = sum(stage.first_seconds for stage in stages)
    total = duration(sum(stage.seconds for stage in stages))
    console.print(
        f"total: {at_most}{total}, including {first:.0f} s to compile and initialise clusters; nothing was written"
    )


def _short(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"

"""Progress of a run on the console, and the lines of ``metrics.jsonl``."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from jaxdc import metrics
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Ending, Experiment
from jaxdc.probe import knn_probe, stratified_half
from jaxdc.reading import parse_json, read_bytes
from jaxdc.runs.trackers import Trackers
from jaxdc.train import health
from jaxdc.train.memory import Estimate
from jaxdc.train.observer import Observer
from jaxdc.writing import replacing

PLAIN_SECONDS = 10.0  # between two lines if the output is not a terminal
SURE_SECONDS = 0.5  # of steps, before the remaining time of a stage is estimated


def scores(labels_true: np.ndarray | None, labels: np.ndarray) -> dict[str, float]:
    """ACC, NMI and ARI if there are labels to compare with, else an empty dictionary."""
    if labels_true is None:
        return {}
    return {
        "acc": metrics.clustering_accuracy_score(labels_true, labels),
        "nmi": metrics.normalized_mutual_info_score(labels_true, labels),
        "ari": metrics.adjusted_rand_score(labels_true, labels),
    }


def plain_console() -> Console:
    """A console on standard error that prints names of files and data verbatim."""
    return Console(stderr=True, soft_wrap=True, markup=False, highlight=False)


class Reporter(Observer):
    """Keeps the history of a run, writes it as the run proceeds, and draws the progress bar.

    Args:
      experiment: the stages, whose lengths determine the time left.
      spec: specification of the data.
      labels_true: classes for scoring; training never sees them.
      console: console to draw on; None is silent.
      path: path of ``metrics.jsonl``, or None.
    """

    def __init__(
        self,
        experiment: Experiment,
        spec: DataSpec,
        labels_true: np.ndarray | None = None,
        *,
        console: Console | None = None,
        path: Path | None = None,
    ):
        self.history: list[dict[str, Any]] = []
        self.trackers: Trackers | None = None
        self.warnings: list[str] = []
        self._stages, self._labels_true, self.path = experiment.stages, labels_true, path
        parts = [stage.part_of(spec) for stage in self._stages]
        self._watches = [health.watches(*each) for each in zip(self._stages, parts, strict=True)]
        sizes = [part.n_samples for part in parts]
        self._batches = [stage.batch_for(n) for stage, n in zip(self._stages, sizes, strict=True)]
        self._n_steps = [stage.n_steps(n) for stage, n in zip(self._stages, sizes, strict=True)]
        self._intervals = [stage.refresh_interval(n) for stage, n in zip(self._stages, sizes, strict=True)]
        self._step_seconds: dict[int, tuple[float, int]] = {}  # by stage: seconds, steps
        self._refresh_seconds: dict[int, tuple[float, int]] = {}
        self._step, self._console, self._said = 0, console, 0.0
        self.trained_samples, self.trained_seconds = 0, 0.0
        self._progress: Progress | None = None
        if console is not None and console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(None), TextColumn("{task.fields[figures]}"))
            self._progress = Progress(*columns, console=console, transient=True, expand=True)
            self._task = self._progress.add_task("", total=max(sum(self._n_steps), 1), figures="")

    def __enter__(self) -> Reporter:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def starts_anew(self) -> None:
        """There is no checkpoint to resume from: discards lines left by an interrupted run."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def set_aside(self, place: Path) -> None:
        """A damaged checkpoint was moved to ``place``."""
        self._print(f"a checkpoint that is damaged, or of another run, is now {place}")

    def resumed(self, i: int, step: int) -> None:
        """Resuming from a checkpoint: discards the lines that are about to be written again."""
        if self.path is not None and self.path.exists():
            rows = []
            with contextlib.suppress(InputError):  # damaged curves don't keep a run from going on
                rows = read_rows(self.path)
            self.history = [row for row in rows if (row["stage"], row["step"]) <= (i + 1, step)]
            self.warnings = [row["warning"] for row in self.history if "warning" in row]
            text = "".join(json.dumps(row) + "\n" for row in self.history)
            with replacing(self.path) as file:
                file.write(text)
            for row in self.history:
                self._track(row)
                if "n_steps" in row:  # what watches the metrics knows them again
                    for watch in self._watches[row["stage"] - 1]:
                        watch.warning(row["step"], row["n_steps"], row)
        self._print(f"resuming from stage {i + 1}, step {step:,}")

    def stage_begins(self, i: int, step: int) -> None:
        """Stage ``i`` starts, or resumes, at ``step``."""
        self._step = step
        self._draw(i, {})

    def memory_planned(self, i: int, step: int, estimate: Estimate | None) -> None:
        """The step of stage ``i`` has been compiled, with this memory estimate."""
        if estimate is None:
            return
        if not any("state_bytes" in row and row["stage"] == i + 1 for row in self.history):
            sizes = {f"{name}_bytes": value for name, value in estimate._asdict().items() if value is not None}
            self._write({"stage": i + 1, "step": step, **sizes})
        self._print(f"stage {i + 1}, memory of a step per device: {estimate}")

    def steps_done(self, i: int, step: int, n: int, values: dict[str, float], seconds: float | None) -> None:
        """``n`` more steps were taken, up to ``step``, in ``seconds`` if known.

        The values are means over these steps.
        """
        row: dict[str, Any] = {"stage": i + 1, "step": step, "n_steps": n, **values}
        self._step = step
        if seconds is not None:
            total, count = self._step_seconds.get(i, (0.0, 0))
            self._step_seconds[i] = (total + seconds, count + n)
            if total < SURE_SECONDS <= total + seconds:
                # Time only these steps: an earlier one, dispatched alone, was dominated by host overhead.
                self._foretell(i, seconds / n)
            samples = n * self._batches[i]
            row["images_per_second"] = round(samples / seconds, 1)
            self.trained_samples += samples
            self.trained_seconds += seconds
        self._write(row)
        for watch in self._watches[i]:
            self.warned(i, step, watch.warning(step, n, values))
        self._draw(i, row)

    def _foretell(self, i: int, step_seconds: float) -> None:
        """Prints the remaining time of a stage, if it is long enough to matter."""
        left = self._n_steps[i] - self._step
        if left * step_seconds < PLAIN_SECONDS:
            return
        at_most = " at most" if self._stages[i].method.tolerance else ""
        besides = ", without refreshes" if self._intervals[i] is not None else ""
        self._print(
            f"stage {i + 1}, time: {1000 * step_seconds:.3g} ms per step, "
            f"{duration(left * step_seconds)}{at_most} for the {left:,} remaining{besides}"
        )

    def refresh_took(self, i: int, seconds: float) -> None:
        """Duration of a refresh."""
        # Forecast from the last refresh: the first one also includes k-means and compilation.
        self._refresh_seconds[i] = (seconds, 1)

    def refreshed(self, i: int, step: int, labels: np.ndarray, figures: dict[str, float], n_clusters: int) -> None:
        """The whole data set was reassigned."""
        self._write({"stage": i + 1, "step": step, **figures, **scores(self._labels_true, labels)})
        text = health.warning(figures, n_clusters)
        # Before its first step a learned head has no clusters yet, but k-means does.
        untrained = step == 0 and self._stages[i].method.refresh_last
        if not untrained:
            self.warned(i, step, text)

    def probed(self, i: int, step: int, features: np.ndarray) -> None:
        """Measures the kNN accuracy of the features of all reported samples."""
        assert self._labels_true is not None
        if any("knn_accuracy" in row and (row["stage"], row["step"]) == (i + 1, step) for row in self.history):
            return  # the run resumes from here
        chosen, labels = stratified_half(self._labels_true), self._labels_true
        accuracy = knn_probe(features[chosen], labels[chosen], features[~chosen], labels[~chosen]).accuracy
        self._write({"stage": i + 1, "step": step, "knn_accuracy": accuracy})
        self._print(f"stage {i + 1}, step {step:,}: kNN accuracy of the features {accuracy:.4f}")

    def warned(self, i: int, step: int, text: str | None) -> None:
        """Stores and prints a warning, unless there is none or it was given before in this stage."""
        if text is None or any(row.get("warning") == text and row["stage"] == i + 1 for row in self.history):
            return
        self.warnings.append(text)
        self._write({"stage": i + 1, "step": step, "warning": text})
        self._print(f"warning: {text} (stage {i + 1}, step {step:,})", style="yellow")

    def ends_early(self, i: int, step: int, ending: Ending) -> None:
        """The method ended stage ``i`` early."""
        if ending.warns:
            self.warned(i, step, ending.reason)
        else:
            self._write({"stage": i + 1, "step": step, "ended": ending.reason})
            self._print(f"stage {i + 1} ends at step {step:,}: {ending.reason}")

    def stage_ends(self, i: int, step: int) -> None:
        """Stage ``i`` is over; it may have ended early."""
        self._n_steps[i] = step
        if self._progress is not None:
            self._progress.update(self._task, total=max(sum(self._n_steps), 1))

    def images_per_second(self) -> float | None:
        """Samples trained on per second of gradient steps, without compilation."""
        return self.trained_samples / self.trained_seconds if self.trained_seconds else None

    def seconds_left(self, i: int) -> float | None:
        """Time left at the measured pace to the end of all stages, if none ends early."""
        if not self._step_seconds:
            return None
        total = 0.0
        for j in range(i, len(self._stages)):
            done = self._step if j == i else 0
            total += (self._n_steps[j] - done) * _mean(self._step_seconds, j)
            interval = self._intervals[j]
            if interval is not None:
                total += (self._n_steps[j] - done) // interval * _mean(self._refresh_seconds, j)
        return total

    def _draw(self, i: int, row: dict[str, Any]) -> None:
        if self._console is None:
            return
        name = f"{type(self._stages[i].method).__name__} (stage {i + 1} of {len(self._stages)})"
        parts = []
        if "loss" in row:
            parts.append(f"loss {row['loss']:.4f}")
        if "images_per_second" in row:
            parts.append(f"{row['images_per_second']:,.0f} images/s")
        left = self.seconds_left(i)
        if left is not None:
            at_most = "at most " if any(s.method.tolerance for s in self._stages[i:]) else ""
            parts.append(f"{at_most}{duration(left)} left")
        figures = ", ".join(parts)
        if self._progress is not None:
            done = sum(self._n_steps[:i]) + self._step
            self._progress.update(self._task, completed=done, description=name, figures=figures)
        elif figures and time.monotonic() - self._said > PLAIN_SECONDS:
            self._said = time.monotonic()
            self._console.print(f"{name}, step {self._step:,} of {self._n_steps[i]:,}: {figures}")

    def say(self, text: str) -> None:
        """Prints a sentence even if progress is not shown."""
        (print if self._console is None else self._console.print)(text)

    def _print(self, text: str, style: str | None = None) -> None:
        if self._console is not None:
            self._console.print(text, style=style)

    def _write(self, row: dict[str, Any]) -> None:
        self.history.append(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        self._track(row)

    def _track(self, row: dict[str, Any]) -> None:
        if self.trackers is not None:
            self.trackers.log(row)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``, up to one that a kill has truncated, or that is damaged.

    Raises:
      InputError: it can't be read, or already its first line is no such line.
    """
    rows: list[dict[str, Any]] = []
    lines = read_bytes(path).splitlines()
    for line in lines:
        try:
            row = parse_json(line, str(path))
        except InputError:
            break
        if not isinstance(row, dict) or not {"stage", "step"} <= set(row):
            break
        rows.append(row)
    if lines and not lines[0].startswith(b"{"):
        raise InputError(f"{path} is damaged")
    return rows


def duration(seconds: float) -> str:
    """Formats seconds as m:ss, or h:mm:ss from one hour on."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _mean(seconds: dict[int, tuple[float, int]], stage: int) -> float:
    """Mean seconds in this stage, or else in the last stage that was measured."""
    if not seconds:
        return 0.0
    total, count = seconds.get(stage) or seconds[max(seconds)]
    return total / max(count, 1)

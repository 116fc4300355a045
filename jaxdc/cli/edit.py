"""``jaxdc edit WORKDIR``: merges, divides, renames or drops clusters, and rejects outliers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from jaxdc.edit import edit_run
from jaxdc.edit.run import TABLE


@dataclasses.dataclass(frozen=True, kw_only=True)
class EditOptions:
    """Edits the clusters of a finished run; predict, report, describe and export then use the edited ones.

    Without an option, lists the edits so far. Several options are applied in the order below.

    Attributes:
      workdir: folder of a finished run.
      merge: clusters that become one, with the number of the first.
      divide: cluster to divide by k-means on its embeddings.
      parts: number of parts to divide into.
      rename: number of a cluster and its name.
      drop: cluster whose samples then belong nowhere.
      reject: share of the samples that then belong nowhere: those that fit their cluster worst.
      reject_by: criterion of --reject: distance from the mean of the cluster, or low confidence.
      undo: take back the last edit.
    """

    workdir: tyro.conf.Positional[Path]
    merge: tyro.conf.UseAppendAction[tuple[tuple[int, ...], ...]] = ()
    divide: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    parts: int = 2
    rename: tyro.conf.UseAppendAction[tuple[tuple[int, str], ...]] = ()
    drop: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    reject: float | None = None
    reject_by: Literal["distance", "confidence"] = "distance"
    undo: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(arguments: Sequence[str], console: Console) -> None:
    """Edits the clusters of a run, and says what has changed."""
    options = tyro.cli(EditOptions, args=arguments, prog="jaxdc edit")
    edited = edit_run(
        options.workdir,
        merge=options.merge,
        divide=options.divide,
        n_parts=options.parts,
        rename=options.rename,
        drop=options.drop,
        reject=options.reject,
        reject_by=options.reject_by,
        undo=options.undo,
    )
    for sentence in edited.said:
        console.print(sentence)
    names = edited.edits.names
    shown = [
        f"{c}{f' ({names[c]})' if c in names else ''}: {size:,}"
        for c, size in enumerate(edited.sizes.tolist())
        if c not in edited.edits.removed
    ]
    console.print(f"samples per cluster: {', '.join(shown)}")
    if (edited.labels < 0).any():
        console.print(f"samples that belong nowhere: {int((edited.labels < 0).sum()):,}")
    if edited.edits:
        console.print(f"clusters of all samples: {options.workdir / TABLE}; next: jaxdc report {options.workdir}")

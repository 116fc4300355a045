"""The run folder for workspaces: settings, the workspace of each document, and metrics.

Nothing is written before everything is found, which takes seconds to minutes, so there are no checkpoints: a
killed run has to start again. ``metrics.json`` is written last; a folder that has it is finished.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc import csv_tables, metrics
from jaxdc.data.text import fingerprint_of
from jaxdc.data.text.vectorizer import silent
from jaxdc.errors import InputError
from jaxdc.reading import read_json
from jaxdc.runs import runfolder
from jaxdc.runs.links import check_links
from jaxdc.version import __version__
from jaxdc.workspaces.events import Events
from jaxdc.workspaces.find import Finder, Workspaces
from jaxdc.writing import full_disk_is_an_input_error, replacing, write_json

KIND = "workspaces"


def run(
    finder: Finder,
    events: Events,
    texts: Sequence[str] | None,
    folder: Path,
    *,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
    fresh: bool = False,
    say: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """Finds workspaces and writes ``workspaces.csv`` and ``metrics.json``, unless the run is already finished.

    Args:
      finder: settings for finding workspaces.
      events: the log.
      texts: text of each document, by its number.
      folder: run folder.
      labels: known workspaces of documents, used only for scoring.
      seed: random seed.
      fresh: replace the run of workspaces in the folder.
      say: receives the progress.

    Returns:
      The content of ``metrics.json``.

    Raises:
      InputError: the folder holds something else, no document has a label, or nothing can be found.
    """
    truth = None if labels is None else _truth(events, labels)
    config = _config(finder, events, texts, labels, seed)
    if _is_finished(folder, config, fresh=fresh):
        say(f"the run in {folder} is already finished")
        return read_json(folder / "metrics.json")
    began = time.perf_counter()
    found = finder.find(events, texts, seed=seed, say=say)
    figures = {
        "method": f"workspaces by {finder.similarity} similarity",
        "seed": seed,
        **found.figures,
        **scores(found.labels, truth),
        "seconds": time.perf_counter() - began,
    }
    runfolder.begin(folder, config, fresh=fresh)
    with full_disk_is_an_input_error(folder):
        with replacing(folder / "workspaces.csv") as file:
            _write_table(file, events, found)
        write_json(folder / "metrics.json", figures)
    return figures


def scores(labels: np.ndarray, truth: Sequence[str | None] | None) -> dict[str, Any]:
    """Pairwise F1, NMI and ARI on the documents with a known workspace; None if there are none."""
    if truth is None:
        protocol = f"all {len(labels):,} documents clustered, none with a known workspace"
        return {"pairwise_f1": None, "nmi": None, "ari": None, "protocol": protocol}
    known = np.array([one is not None for one in truth])
    true, pred = [one for one in truth if one is not None], labels[known]
    return {
        "pairwise_f1": metrics.pairwise_f1_score(true, pred),
        "nmi": metrics.normalized_mutual_info_score(true, pred),
        "ari": metrics.adjusted_rand_score(true, pred),
        "n_known_workspaces": len(set(true)),
        "protocol": f"all {len(labels):,} documents clustered without labels, "
        f"scored on the {len(true):,} whose workspace is known",
    }


def _truth(events: Events, labels: Mapping[str, str]) -> list[str | None]:
    truth = [labels.get(document) for document in events.names]
    if not any(one is not None for one in truth):
        raise InputError(
            f"no document of {events.name} has a label: the labels are for documents such as "
            f"{next(iter(labels), '')!r}, the log has documents such as {events.names[0]!r}"
        )
    return truth


def _config(finder: Finder, events: Events, texts, labels, seed: int) -> dict[str, Any]:
    log = (events.users, events.documents, events.times, "\0".join(events.names).encode())
    known = "" if labels is None else "\0".join(part for pair in sorted(labels.items()) for part in pair)
    run = {
        "kind": KIND,
        "seed": seed,
        "settings": dataclasses.asdict(finder),
        "log": f"{len(events.times)} accesses {_digest(*log)}",
        "texts": None if texts is None else fingerprint_of(texts),
        "labels": None
        if labels is None
        else f"{len(labels)} labels {_digest(known.encode(errors='surrogatepass'))}",
    }
    return {
        "run": json.loads(json.dumps(run)),
        "opened": {"log": events.name},
        "environment": {"jaxdc": __version__},
    }


def _digest(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else part)
    return digest.hexdigest()[:16]


def _is_finished(folder: Path, config: dict[str, Any], *, fresh: bool) -> bool:
    path = folder / "config.json"
    check_links(folder)
    if not path.exists():
        runfolder.check_free(folder)
        return False
    try:
        old = read_json(path)
        kind = old["run"].get("kind")
    except (InputError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged or was not written by jaxdc ({error}); choose another folder"
        ) from error
    if kind != KIND:
        raise InputError(f"{folder} holds the run of another command; choose another --workdir")
    if fresh:
        return False
    runfolder.check_same(folder, old, config)
    return (folder / "metrics.json").exists()


def _write_table(file: Any, events: Events, found: Workspaces) -> None:
    """Rows ``document,workspace,confidence``: largest workspace first, with its most confident document first."""
    table = csv_tables.Writer(file, ("document", "workspace", "confidence"))
    for i in np.lexsort((np.arange(len(found.labels)), -found.confidence, found.labels)).tolist():
        table.row((events.names[i], int(found.labels[i]), float(found.confidence[i])))

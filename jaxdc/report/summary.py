"""What was run, how it ended, and its scores against labels that training never used."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from jaxdc.report.contents import Run
from jaxdc.report.templates import Section, section
from jaxdc.report.text import number
from jaxdc.runs.config import is_kind, title_of
from jaxdc.runs.progress import scores

SCORES = {
    "acc": ("ACC", "samples that are right under the best one-to-one match of clusters and classes"),
    "nmi": ("NMI", "normalized mutual information of clusters and classes"),
    "ari": ("ARI", "adjusted Rand index: 0 for chance, 1 for a perfect match"),
    "purity": ("Purity", "samples of the most frequent class of their cluster; grows with the clusters"),
}


def summary(run: Run) -> Section:
    """The section."""
    described, metrics = run.config["run"], run.metrics or {}
    folder, _ = run.without_folder()
    scored = metrics if metrics.get("acc") is not None else {}
    before = ", before the edits" if run.edits else ""
    return section(
        "summary.html",
        anchor="summary",
        link="Summary",
        title="Summary",
        alerts=_alerts(run),
        notes=[run.missing[part] for part in ("metrics", "labels", "samples", "edits") if part in run.missing],
        method=described["method"],
        recipe=described.get("recipe"),
        seed=described.get("seed"),
        data=described["data"],
        folder=folder if folder != described["data"]["name"] else "",
        n_clusters=len(run.clusters),
        n_empty=0 if run.sizes is None else int((run.sizes[run.clusters] == 0).sum()),
        n_rejected=0 if run.labels is None else int((run.labels < 0).sum()),
        duplicates=_duplicates(run),
        edits=[str(edit) for edit in run.edits],
        time=_time(metrics),
        made_on=_made_on(run.config.get("environment", {})),
        scores=[(*told, scored[key]) for key, told in SCORES.items() if scored.get(key) is not None],
        edited=_edited(run),
        protocol=f"Protocol: {scored['protocol']} ({scored['seed']}){before}." if scored else "",
        stages=[
            (f"Stage {i}: {title_of(stage['method'])}", list(_flat(stage)))
            for i, stage in enumerate(described["stages"], 1)
        ],
    )


def _duplicates(run: Run) -> str:
    found = run.duplicates
    if found is None:
        return ""
    if not found.near:
        return "none"
    near = f"; with nearly equal ones {found.n_near:,}" if found.n_near > found.n_exact else ""
    return f"{found.n_exact:,} samples are equal to an earlier one{near} (jaxdc duplicates lists them)"


def _edited(run: Run) -> str:
    """A sentence with the scores after the edits."""
    if not run.edits or run.labels is None or run.labels_true is None:
        return ""
    found = ", ".join(f"{name.upper()} {value:.4f}" for name, value in scores(run.labels_true, run.labels).items())
    rejected = "; the samples in no cluster count as one more cluster" if (run.labels < 0).any() else ""
    return f"After the edits: {found}{rejected}."


def _alerts(run: Run) -> Iterator[str]:
    if run.labels is not None and len(run.labels):
        active = int((run.sizes > 0).sum()) if run.sizes is not None else 0
        if active == 1:
            yield "Everything is in one cluster: there is nothing to tell apart."
        elif active < len(run.clusters):
            yield f"{len(run.clusters) - active:,} of {len(run.clusters):,} clusters have no sample."
    for row in run.history:
        if "warning" in row:
            yield f"Stage {row['stage']}, step {row['step']:,}: {row['warning']}."


def _time(metrics: Mapping[str, Any]) -> str:
    if "seconds" not in metrics:
        return ""
    seconds = metrics["seconds"]
    took = f"{seconds:.1f} s" if seconds < 60 else str(datetime.timedelta(seconds=round(seconds)))
    return f"{took}, {metrics['images_per_second']:,.0f} samples/s"


def _made_on(environment: Mapping[str, Any]) -> str:
    if not environment:
        return ""
    parts = [f"{part} {environment[part]}" for part in ("jaxdc", "jax", "python") if part in environment]
    return f"{environment.get('devices', 'unknown devices')}; {', '.join(parts)}"


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """All hyper-parameters that are set; those of parts have dotted names."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif not is_kind(key) and value is not None:
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{above}{key}", number(shown) if isinstance(shown, float) else str(shown)

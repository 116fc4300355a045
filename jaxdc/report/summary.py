"""What was run, how it ended, and how good it is by labels that it never saw."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from jaxdc.report.contents import Run
from jaxdc.report.templates import Section, section
from jaxdc.report.text import number
from jaxdc.runs.config import is_kind, title_of

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
    return section(
        "summary.html",
        anchor="summary",
        link="Summary",
        title="Summary",
        alerts=_alerts(run),
        notes=[run.missing[part] for part in ("metrics", "labels", "samples") if part in run.missing],
        method=described["method"],
        recipe=described.get("recipe"),
        seed=described.get("seed"),
        data=described["data"],
        folder=folder if folder != described["data"]["name"] else "",
        n_clusters=run.n_clusters,
        n_empty=0 if run.sizes is None else int((run.sizes == 0).sum()),
        time=_time(metrics),
        made_on=_made_on(run.config.get("environment", {})),
        scores=[(*told, scored[key]) for key, told in SCORES.items() if scored.get(key) is not None],
        protocol=f"Protocol: {scored['protocol']} ({scored['seed']})." if scored else "",
        stages=[
            (f"Stage {i}: {title_of(stage['method'])}", list(_flat(stage)))
            for i, stage in enumerate(described["stages"], 1)
        ],
    )


def _alerts(run: Run) -> Iterator[str]:
    if run.labels is not None and len(run.labels):
        active = int((run.sizes > 0).sum()) if run.sizes is not None else 0
        if active == 1:
            yield "Everything is in one cluster: there is nothing to tell apart."
        elif active < run.n_clusters:
            yield f"{run.n_clusters - active:,} of {run.n_clusters:,} clusters have no sample."
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
    """Every hyper-parameter that is set, those of parts by dotted names."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif not is_kind(key) and value is not None:
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{above}{key}", number(shown) if isinstance(shown, float) else str(shown)

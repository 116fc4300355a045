"""What was run, how it ended, and how good it is by labels that it never saw."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from jaxdc.report.contents import Run
from jaxdc.report.markup import escaped, name, note, number, section, table
from jaxdc.runs.config import is_kind, title_of

SCORES = {
    "acc": ("ACC", "samples that are right under the best one-to-one match of clusters and classes"),
    "nmi": ("NMI", "normalized mutual information of clusters and classes"),
    "ari": ("ARI", "adjusted Rand index: 0 for chance, 1 for a perfect match"),
    "purity": ("Purity", "samples of the most frequent class of their cluster; grows with the clusters"),
}


def summary(run: Run) -> str:
    """The section."""
    parts = [f'<p class="alert" role="note">{escaped(text)}</p>' for text in _alerts(run)]
    parts += [note(run.missing[part]) for part in ("metrics", "labels", "samples") if part in run.missing]
    facts = "".join(f"<div><dt>{what}</dt><dd>{value}</dd></div>" for what, value in _facts(run))
    return section("summary", "Summary", *parts, f'<dl class="facts">{facts}</dl>', _scores(run), _settings(run))


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


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    described, data, metrics = run.config["run"], run.config["run"]["data"], run.metrics or {}
    yield "Method", escaped(f"{described['method']}, recipe {described.get('recipe')}")
    shape = " x ".join(map(str, data["shape"]))
    yield "Data", f"{name(data['name'])}, {data['n_samples']:,} samples of {escaped(shape)}"
    folder, _ = run.without_folder()
    if folder and folder != data["name"]:
        yield "Names below", name(folder)
    clusters = f"{run.n_clusters:,}"
    if run.sizes is not None and (run.sizes == 0).any():
        clusters += f", {(run.sizes == 0).sum():,} of them empty"
    yield "Clusters", clusters
    if "seconds" in metrics:
        yield "Time", escaped(f"{_duration(metrics['seconds'])}, {metrics['images_per_second']:,.0f} samples/s")
    yield "Seed", escaped(described.get("seed"))
    environment = run.config.get("environment", {})
    if environment:
        with_ = ", ".join(
            f"{part} {environment[part]}" for part in ("jaxdc", "jax", "python") if part in environment
        )
        yield "Made on", escaped(f"{environment.get('devices', 'unknown devices')}; {with_}")


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else str(datetime.timedelta(seconds=round(seconds)))


def _scores(run: Run) -> str:
    metrics = run.metrics or {}
    if metrics.get("acc") is None:
        return ""
    cells = "".join(
        f"<div><dt><abbr title='{about}'>{label}</abbr></dt><dd>{metrics[key]:.4f}</dd></div>"
        for key, (label, about) in SCORES.items()
        if metrics.get(key) is not None
    )
    protocol = f"Protocol: {metrics['protocol']} ({metrics['seed']})."
    return f'<dl class="scores">{cells}</dl>{note(protocol)}'


def _settings(run: Run) -> str:
    """Every hyper-parameter, stage by stage."""
    parts = []
    for i, stage in enumerate(run.config["run"]["stages"], 1):
        rows = [(escaped(key), escaped(value)) for key, value in _flat(stage)]
        head = f"Stage {i}: {title_of(stage['method'])}"
        parts.append(f"<h3>{escaped(head)}</h3>{table(('setting', 'value'), rows)}")
    return f'<details><summary>Settings</summary><div class="columns">{_wrapped(parts)}</div></details>'


def _wrapped(parts: list[str]) -> str:
    return "".join(f"<div>{part}</div>" for part in parts)


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif not is_kind(key) and value is not None:
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{above}{key}", number(shown) if isinstance(shown, float) else str(shown)

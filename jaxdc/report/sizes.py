"""How large the clusters are: bars that lead to what is said of each."""

from __future__ import annotations

import numpy as np

from jaxdc.report.contents import Run
from jaxdc.report.markup import note, scrolled, section


def sizes(run: Run, *, described: bool) -> str:
    """The section; where the clusters are not described, what leads to them ends here."""
    if run.sizes is None:
        return section("sizes", "Cluster sizes", note(run.missing["labels"]))
    total, largest = max(int(run.sizes.sum()), 1), max(int(run.sizes.max(initial=0)), 1)
    used = run.sizes[run.sizes > 0]
    lines = []
    for c in np.argsort(-run.sizes, kind="stable").tolist():
        size = int(run.sizes[c])
        bar = f'<span class="bar"><i class="k{c}" style="width:{size / largest:.1%}"></i></span>'
        text = f"<span>{size:,}<small> {size / total:.1%}</small></span>"
        here = "" if described else f' id="c{c}"'
        link = f'<a href="#c{c}" aria-label="cluster {c}, {size:,} samples"><b>{c}</b>{bar}{text}</a>'
        lines.append(f"<li{here}>{link}</li>")
    told = "No sample is in any cluster."
    if len(used):
        told = f"{len(used):,} of {run.n_clusters:,} clusters in use"
        if len(used) > 1:
            told += f", of {used.min():,} to {used.max():,} samples, {np.median(used):,.0f} in the median"
        told += "."
    bars = f'<ol class="sizes">{"".join(lines)}</ol>'
    return section("sizes", "Cluster sizes", note(told), scrolled("Cluster sizes", bars))

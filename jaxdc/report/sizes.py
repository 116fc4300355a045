"""Cluster sizes, as bars that link to the card of each cluster."""

from __future__ import annotations

import numpy as np

from jaxdc.report.contents import Run
from jaxdc.report.templates import Section, section


def sizes(run: Run, *, described: bool) -> Section:
    """The section; if the clusters have no cards, links to them end here."""
    if run.sizes is None:
        return section(anchor="sizes", link="Sizes", title="Cluster sizes", notes=[run.missing["labels"]])
    n = run.sizes
    total, largest = max(int(n.sum()), 1), max(int(n.max(initial=0)), 1)
    used = n[n > 0]
    order = sorted(run.clusters, key=lambda c: (-n[c], c))
    told = "No sample is in any cluster."
    if len(used):
        told = f"{len(used):,} of {len(run.clusters):,} clusters in use"
        if len(used) > 1:
            told += f", of {used.min():,} to {used.max():,} samples, {np.median(used):,.0f} in the median"
        told += "."
    return section(
        "sizes.html",
        anchor="sizes",
        link="Sizes",
        title="Cluster sizes",
        notes=[told],
        style="".join(f".k{c}{{--size:{n[c] / largest:.1%}}}" for c in order),
        sizes=[(c, run.name_of(c), int(n[c]), int(n[c]) / total) for c in order],
        described=described,
    )

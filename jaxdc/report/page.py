"""The page of a run, assembled from its sections."""

from __future__ import annotations

import numpy as np

from jaxdc.describe import Cluster, Member
from jaxdc.report import colors
from jaxdc.report.confusion import confusion
from jaxdc.report.contents import Run
from jaxdc.report.curves import curves
from jaxdc.report.document import document, resource
from jaxdc.report.embedding_map import embedding_map
from jaxdc.report.hierarchy import hierarchy_section
from jaxdc.report.members import members, most_members
from jaxdc.report.network import network
from jaxdc.report.pictures import SIDES, encoded, thumbnails
from jaxdc.report.sizes import sizes
from jaxdc.report.sounds import clips
from jaxdc.report.summary import summary


def page(run: Run, clusters: list[Cluster], *, n_points: int = 2000, umap: bool = True) -> str:
    """The complete page: style, script and pictures are embedded, and every name and text is escaped.

    Args:
      run: what is known of it.
      clusters: descriptions, in the order in which they are shown; empty where there is nothing to go by.
      n_points: at most so many samples on the map.
      umap: draw the map by UMAP too, if that package is installed.
    """
    n_members = max((max(len(c.central), len(c.doubtful)) for c in clusters), default=0)
    most = most_members(len(clusters), n_members)
    clusters = [c._replace(central=c.central[:most], doubtful=c.doubtful[:most]) for c in clusters]
    notes = [
        run.missing[part] for part in ("labels", "probabilities", "embeddings", "samples") if part in run.missing
    ]
    if most < n_members:
        notes.append(
            f"So that the page stays usable, {most} members of each kind are shown instead of {n_members}."
        )
    n_rejected = 0 if run.labels is None else int((run.labels < 0).sum())
    rejected = _rejected(run, 2 * most)
    rows = [member.row for c in clusters for member in (*c.central, *c.doubtful)]
    rows += [member.row for member in rejected]
    heard = {} if run.sounds is None else clips(run.sounds, rows)
    pictures: dict[int, str] = {}
    if run.read is not None:
        pictures = encoded(thumbnails(run.read, rows, SIDES[0]))
    sections = (
        summary(run),
        embedding_map(run, n_points=n_points, umap=umap),
        network(run),
        sizes(run, described=bool(clusters)),
        members(clusters, run.without_folder()[1], pictures, notes, rejected, n_rejected, heard),
        hierarchy_section(run),
        confusion(run),
        curves(run),
    )
    style, script = colors.style(run.n_clusters), resource("page.js")
    return document(run.title, sections, style=style, script=script, sounds=bool(heard))


def _rejected(run: Run, most: int) -> list[Member]:
    """Samples without a cluster, evenly spaced in the order of the data."""
    if run.labels is None:
        return []
    rows = np.flatnonzero(run.labels < 0)
    rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)] if len(rows) else rows
    found = []
    for row in rows.tolist():
        name = str(row) if run.sample_names is None else str(run.sample_names[row])
        found.append(Member(row, name, 0.0, None if run.texts is None else str(run.texts[row])))
    return found

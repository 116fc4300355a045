"""One HTML file without network access, put together of sections."""

from __future__ import annotations

from importlib import resources

from jaxdc.describe import Cluster
from jaxdc.report import colors
from jaxdc.report.confusion import confusion
from jaxdc.report.contents import Run
from jaxdc.report.curves import curves
from jaxdc.report.embedding_map import embedding_map
from jaxdc.report.markup import escaped
from jaxdc.report.members import members, most_members
from jaxdc.report.pictures import SIDES, encoded, thumbnails
from jaxdc.report.sizes import sizes
from jaxdc.report.summary import summary
from jaxdc.version import __version__


def page(run: Run, clusters: list[Cluster], *, n_points: int = 2000, umap: bool = True) -> str:
    """The page, whole: style, script and pictures are inside, and every name and text is escaped.

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
    pictures: dict[int, str] = {}
    if run.read is not None:
        rows = [member.row for c in clusters for member in (*c.central, *c.doubtful)]
        pictures = encoded(thumbnails(run.read, rows, SIDES[0]))
    parts = {
        "Summary": summary(run),
        "Map": embedding_map(run, n_points=n_points, umap=umap),
        "Sizes": sizes(run, described=bool(clusters)),
        "Clusters": members(clusters, run.without_folder()[1], pictures, notes),
        "Classes": confusion(run),
        "Curves": curves(run),
    }
    return document(run.title, parts, style=colors.style(run.n_clusters), script=_file("page.js"))


def document(title: str, parts: dict[str, str], *, style: str = "", script: str = "") -> str:
    """A page of sections, each by the name that leads to it; those that are empty are left out."""
    links = "".join(f'<a href="#{_id(part)}">{name}</a>' for name, part in parts.items() if part)
    first = next(_id(part) for part in parts.values() if part)
    title = escaped(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><style>{_file("page.css")}{style}</style>'
        f'</head><body><a class="skip" href="#{first}">To the summary</a><header><h1>{title}</h1>'
        f'<nav aria-label="Sections">{links}</nav></header><main>{"".join(parts.values())}</main>'
        f"<footer>Written by jaxdc {__version__}.</footer>"
        f"{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )


def _id(part: str) -> str:
    return part.partition('id="')[2].partition('"')[0]


def _file(name: str) -> str:
    return resources.files("jaxdc.report").joinpath(name).read_text(encoding="utf-8")

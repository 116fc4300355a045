"""One HTML page without network access: a card a cluster."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

from jaxdc.describe.clusters import Cluster, Member

SHOWN = 240  # characters of a text

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent);
        --soft: color-mix(in srgb, currentColor 65%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0; }
header p, .size, .members small { color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1rem 0 2rem; }
nav a { border: 1px solid var(--line); border-radius: 1rem; color: inherit; padding: .1rem .7rem;
        text-decoration: none; }
section { border: 1px solid var(--line); border-radius: .6rem; margin: 0 0 1.5rem; padding: 1rem 1.2rem; }
h2 { font-size: 1.15rem; margin: 0; }
h3 { font-size: .95rem; margin: 1rem 0 .3rem; }
.bar { background: var(--line); border-radius: 2px; height: 4px; margin: .5rem 0; }
.bar i { background: #3a7bd5; border-radius: 2px; display: block; height: 4px; }
.terms { display: flex; flex-wrap: wrap; gap: .3rem; list-style: none; margin: .5rem 0; padding: 0; }
.terms li { background: var(--line); border-radius: .3rem; padding: 0 .5rem; }
blockquote { border-left: 3px solid #3a7bd5; margin: .6rem 0; padding-left: .8rem; }
.columns { display: grid; gap: 0 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.members { list-style: none; margin: 0; overflow-wrap: anywhere; padding: 0; }
.members li { border-top: 1px solid var(--line); padding: .35rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: .5rem; }
.pictures li { border: 0; padding: 0; width: 5rem; }
.pictures img { border-radius: .3rem; display: block; height: 5rem; image-rendering: pixelated; width: 5rem; }
.pictures small { display: block; font-size: .7rem; overflow: hidden; text-overflow: ellipsis;
                  white-space: nowrap; }
"""


def page(
    title: str,
    lines: Sequence[str],
    clusters: Sequence[Cluster],
    pictures: Mapping[int, bytes] | None = None,
) -> str:
    """The page, whole.

    Args:
      title: of the run.
      lines: what is said of the run below its title.
      clusters: descriptions, in the order in which they are shown.
      pictures: PNG files of samples by their row, where the samples are images.

    Returns:
      HTML with its style and pictures inside. Every name and text is escaped.
    """
    links = "".join(f'<a href="#c{c.cluster}">{c.cluster}</a>' for c in clusters if c.size)
    about = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    sections = "".join(_section(c, pictures or {}) for c in clusters)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<header><h1>{html.escape(title)}</h1>{about}</header>"
        f'<nav aria-label="Clusters">{links}</nav><main>{sections}</main></body></html>\n'
    )


def _section(c: Cluster, pictures: Mapping[int, bytes]) -> str:
    if c.size == 0:
        return f'<section id="c{c.cluster}"><h2>Cluster {c.cluster}</h2><p class="size">empty</p></section>'
    samples = "sample" if c.size == 1 else "samples"
    parts = [
        f'<section id="c{c.cluster}"><h2>Cluster {c.cluster}</h2>',
        f'<p class="size">{c.size:,} {samples}, {c.share:.1%}</p>',
        f'<div class="bar"><i style="width:{c.share:.2%}"></i></div>',
    ]
    if c.terms:
        parts.append(f'<ul class="terms">{"".join(f"<li>{html.escape(term)}</li>" for term in c.terms)}</ul>')
    parts += [f"<blockquote>{html.escape(sentence)}</blockquote>" for sentence in c.summary]
    columns = [
        f"<div><h3>{name}</h3>{_members(members, pictures)}</div>"
        for name, members in (("Most central", c.central), ("Most doubtful", c.doubtful))
        if members
    ]
    return "".join([*parts, f'<div class="columns">{"".join(columns)}</div></section>'])


def _members(members: Sequence[Member], pictures: Mapping[int, bytes]) -> str:
    shown = all(member.row in pictures for member in members)
    items = "".join(f"<li>{_member(member, pictures.get(member.row))}</li>" for member in members)
    return f'<ul class="members{" pictures" if shown else ""}">{items}</ul>'


def _member(member: Member, picture: bytes | None) -> str:
    name, confidence = html.escape(member.sample), f"{member.confidence:.0%}"
    if picture is not None:
        source = base64.b64encode(picture).decode()
        image = f'<img src="data:image/png;base64,{source}" alt="{name}" title="{name}">'
        return f"{image}<small>{confidence} {name}</small>"
    if member.text is None:
        return f"{name} <small>{confidence}</small>"
    text = " ".join(member.text.split())
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN].rsplit(' ', 1)[0]} …"
    return f"{html.escape(cut)} <small>{name}, {confidence}</small>"

"""What each cluster is about: a card with its terms, its most central and its most doubtful members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxdc.describe import Cluster, Member
from jaxdc.report.markup import cut, escaped, name, note, section

SHOWN = 240  # characters of a text
MOST_PICTURES = 4000  # on one page; fewer members a cluster are shown where they would be more


def most_members(n_clusters: int, wished: int) -> int:
    """How many central, and how many doubtful, members of each cluster a page bears."""
    return max(min(wished, MOST_PICTURES // (2 * max(n_clusters, 1))), 1)


def members(
    clusters: Sequence[Cluster],
    names: Sequence[str] | None,
    pictures: Mapping[int, str],
    notes: Sequence[str] = (),
) -> str:
    """The section.

    Args:
      clusters: descriptions, in the order in which they are shown.
      names: of the samples, as they are shown; else those of the members.
      pictures: addresses of the pictures of samples by their rows.
      notes: what is missing.
    """
    said = [note(sentence) for sentence in notes]
    if clusters:
        said.append(
            note(
                "Central: nearest to the mean of the cluster's embeddings. Doubtful: nearest to belonging "
                "elsewhere. The percentage is the confidence, the probability of the cluster."
            )
        )
    empty = ", ".join(f'<span id="c{c.cluster}">{c.cluster}</span>' for c in clusters if c.size == 0)
    if empty:
        said.append(f'<p class="note">Empty: {empty}.</p>')
    cards = "".join(_card(c, names, pictures) for c in clusters if c.size)
    return section("clusters", "Clusters and their members", *said, f'<div class="cards">{cards}</div>')


def _card(c: Cluster, names, pictures) -> str:
    head = f'<article id="c{c.cluster}" tabindex="-1"><h3><i class="dot k{c.cluster}"></i>Cluster {c.cluster}'
    samples = "sample" if c.size == 1 else "samples"
    parts = [f"{head} <small>{c.size:,} {samples}, {c.share:.1%}</small></h3>"]
    if c.terms:
        parts.append(f'<ul class="terms">{"".join(f"<li>{name(term)}</li>" for term in c.terms)}</ul>')
    parts += [f'<blockquote dir="auto">{escaped(sentence)}</blockquote>' for sentence in c.summary]
    parts += [
        f"<div><h4>{title}</h4>{_list(some, names, pictures)}</div>"
        for title, some in (("Most central", c.central), ("Most doubtful", c.doubtful))
        if some
    ]
    return "".join([*parts, "</article>"])


def _list(some: Sequence[Member], names, pictures) -> str:
    kind = " pictures" if all(member.row in pictures for member in some) else ""
    items = "".join(f"<li>{_member(member, names, pictures.get(member.row))}</li>" for member in some)
    return f'<ul class="members{kind}">{items}</ul>'


def _member(member: Member, names, picture: str | None) -> str:
    shown = member.sample if names is None else names[member.row]
    confidence = f"{member.confidence:.0%}"
    if picture is not None:
        about = escaped(member.sample)
        image = f'<img src="{picture}" alt="{about}" title="{about}" loading="lazy" decoding="async">'
        return f"{image}<small>{confidence} {name(shown)}</small>"
    if member.text is None:
        return f"{name(shown)} <small>{confidence}</small>"
    return f'<span dir="auto">{escaped(cut(member.text, SHOWN))}</span> <small>{name(shown)}, {confidence}</small>'

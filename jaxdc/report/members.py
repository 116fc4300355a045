"""A card for each cluster: its terms, its most central members and its most doubtful ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxdc.describe import Cluster, Member
from jaxdc.report.templates import Section, section

SHOWN = 240  # characters of a text
MOST_PICTURES = 4000  # on one page; fewer members a cluster are shown where they would be more
LEGEND = (
    "Central: nearest to the mean of the cluster's embeddings. Doubtful: nearest to belonging elsewhere. The "
    "percentage is the confidence, the probability of the cluster."
)


def most_members(n_clusters: int, wished: int) -> int:
    """How many central and how many doubtful members of each cluster fit on a page."""
    return max(min(wished, MOST_PICTURES // (2 * max(n_clusters, 1))), 1)


def members(
    clusters: Sequence[Cluster],
    names: Sequence[str] | None,
    pictures: Mapping[int, str],
    notes: Sequence[str] = (),
    rejected: Sequence[Member] = (),
    n_rejected: int = 0,
    clips: Mapping[int, str] | None = None,
) -> Section:
    """The section.

    Args:
      clusters: descriptions, in the order in which they are shown.
      names: names of the samples as shown; else those of the members.
      pictures: addresses of the pictures of samples by their rows.
      notes: what is missing.
      rejected: some of the samples that are in no cluster.
      n_rejected: their number.
      clips: addresses of the sounds of samples by their rows.
    """
    return section(
        "members.html",
        anchor="clusters",
        link="Clusters",
        title="Clusters and their members",
        notes=[*notes, LEGEND] if clusters else notes,
        clusters=[c for c in clusters if c.size],
        empty=[c.cluster for c in clusters if not c.size],
        rejected=rejected,
        n_rejected=n_rejected,
        names=names,
        pictures=pictures,
        clips=clips or {},
        most_characters=SHOWN,
    )

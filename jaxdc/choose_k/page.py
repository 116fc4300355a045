"""The contents of ``choose_k.json`` as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxdc.report.charts import Chart, line_chart
from jaxdc.report.document import document
from jaxdc.report.templates import Section, section
from jaxdc.report.text import number

PACKAGE = "jaxdc.choose_k"  # which has the templates
SCORES = {
    "silhouette": (
        "Silhouette",
        "how much nearer samples are to their own cluster than to the next; higher is better",
    ),
    "davies_bouldin": ("Davies-Bouldin", "how wide clusters are for their distance; lower is better"),
    "stability": ("Stability", "ARI of two halves' clusterings on one of them; higher is better"),
}
# Scored once, after the rule was fixed: the code of an autoencoder with the settings of the command, seed 0.
UNSEEN = (
    ("MNIST, test split", 10, 8, "2, 7, 9, 10"),
    ("Reuters R8, tf-idf", 8, 4, "none"),
    ("StackOverflow, sentence embeddings", 20, 21, "2 and all from 5 to 30 but 7 and 8"),
)
TICKS = 6


class Figure(NamedTuple):
    """A score and its chart; no chart if no number of clusters has the score."""

    title: str
    about: str
    chart: Chart | None


def page(content: Mapping[str, Any]) -> str:
    """A single HTML file that needs no network: the recommendation, its uncertainty and the scores.

    Args:
      content: content of ``choose_k.json``.
    """
    doubt = section(
        "doubt.html",
        anchor="doubt",
        link="How far off?",
        title="How far off may it be?",
        package=PACKAGE,
        unseen=UNSEEN,
    )
    return document(f"How many clusters: {content['data']}", [_answer(content), _scores(content), doubt])


def recommendation(content: Mapping[str, Any]) -> str:
    """The recommendation in a sentence."""
    others = [str(k) for k in content["as_good"] if k != content["k"]]
    told = f"; not told from it: {', '.join(others)}" if others else ", and no other number comes near"
    return f"{content['k']} clusters have the highest silhouette{told}"


def _answer(content: Mapping[str, Any]) -> Section:
    return section(
        "answer.html",
        anchor="answer",
        link="Recommendation",
        title="Recommendation",
        package=PACKAGE,
        recommendation=recommendation(content),
        warning=_warning(content),
        found=content,
        off=None if content["n_classes"] is None else abs(content["k"] - content["n_classes"]),
    )


def _warning(content: Mapping[str, Any]) -> str:
    n_good, n_all = len(content["as_good"]), len(content["scores"])
    if n_good > max(2, n_all // 2):
        return (
            f"{n_good} of {n_all} numbers are as good as each other: nothing was found. Take what serves your "
            "purpose."
        )
    if content["k"] in (content["scores"][0]["k"], content["scores"][-1]["k"]):
        return "It is at the end of what was tried: look further, with another --from or --to."
    return ""


def _scores(content: Mapping[str, Any]) -> Section:
    marks = dict.fromkeys(content["as_good"], " (as good)") | {content["k"]: " (recommended)"}
    told = (
        "Each number of clusters was tried on ten halves of the data: the line is the mean, the band one standard "
        "deviation. The filled dot is the recommended number; hollow ones are not told from it."
    )
    if content["n_classes"]:
        told += " The dashed line is the number of classes."
    return section(
        "scores.html",
        anchor="scores",
        link="Scores",
        title="Scores",
        notes=[told],
        package=PACKAGE,
        figures=[Figure(*SCORES[score], _chart(content, score)) for score in SCORES],
        head=["clusters", *(title for title, _ in SCORES.values())],
        rows=[
            (f"{row['k']}{marks.get(row['k'], '')}", *(_mean_and_std(row[score]) for score in SCORES))
            for row in content["scores"]
        ],
    )


def _chart(content: Mapping[str, Any], score: str) -> Chart | None:
    rows = [row for row in content["scores"] if None not in row[score]]
    if not rows:
        return None
    ks = np.array([row["k"] for row in rows])
    means, stds = np.array([row[score] for row in rows]).T
    dots = [(i, "good") for i, k in enumerate(ks) if k in content["as_good"] and k != content["k"]]
    dots += [(i, "best") for i, k in enumerate(ks) if k == content["k"]]
    classes = content["n_classes"]
    ticks = np.unique(np.linspace(0, len(ks) - 1, min(TICKS, len(ks))).round().astype(int))
    told = f"{SCORES[score][0]} from {number(means[0])} at {ks[0]} clusters to {number(means[-1])} at {ks[-1]}"
    return line_chart(
        ks,
        means,
        spread=stds,
        dots=dots,
        label=f"{told}; {number(means[ks == content['k']].sum())} at the recommended {content['k']}",
        below=[(float(ks[i]), str(ks[i])) for i in ticks],
        line_at=classes if classes is not None and ks[0] <= classes <= ks[-1] else None,
    )


def _mean_and_std(values: list[float | None]) -> str:
    return "-" if None in values else "{:.3f} ± {:.3f}".format(*values)

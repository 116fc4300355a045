"""What ``choose_k.json`` says, on a page to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdc.report.charts import line_chart
from jaxdc.report.markup import escaped, name, note, number, scrolled, section, table
from jaxdc.report.page import document

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
    ("Reuters R8, tf-idf", 8, 4, ""),
    ("StackOverflow, sentence embeddings", 20, 21, "2 and all from 5 to 30 but 7 and 8"),
)
TICKS = 6


def page(content: Mapping[str, Any]) -> str:
    """One file that needs no network: what is recommended, the scores, how far it may be off.

    Args:
      content: of ``choose_k.json``.
    """
    return document(
        f"How many clusters: {content['data']}",
        {"Recommendation": _answer(content), "Scores": _scores(content), "How far off?": _doubt(content)},
    )


def recommendation(content: Mapping[str, Any]) -> str:
    """What is recommended, in a sentence."""
    others = [str(k) for k in content["as_good"] if k != content["k"]]
    told = f"; not told from it: {', '.join(others)}" if others else ", and no other number comes near"
    return f"{content['k']} clusters have the highest silhouette{told}"


def _answer(content: Mapping[str, Any]) -> str:
    parts = [f"<p>{escaped(recommendation(content))}.</p>"]
    n_good, n_all = len(content["as_good"]), len(content["scores"])
    if n_good > max(2, n_all // 2):
        parts.append(
            f'<p class="alert" role="note">{n_good} of {n_all} numbers are as good as each other: nothing was '
            "found. Take what serves your purpose.</p>"
        )
    elif content["k"] in (content["scores"][0]["k"], content["scores"][-1]["k"]):
        parts.append(
            '<p class="alert" role="note">It is at the end of what was tried: look further, with another '
            "--from or --to.</p>"
        )
    embedding = {"autoencoder": "the code of an autoencoder", "input": "the samples as they are"}
    facts = {
        "Data": f"{name(content['data'])}, {content['n_samples']:,} samples",
        "Compared in": embedding.get(content["embedding"]) or f"the features of {name(content['embedding'])}",
        "Seed": escaped(content["seed"]),
        "Time": escaped(f"{content['seconds']:,.0f} s"),
    }
    if content["n_classes"] is not None:
        off = abs(content["k"] - content["n_classes"])
        facts["Classes"] = escaped(f"{content['n_classes']}, which was not used; the number is {off or 'not'} off")
    listed = "".join(f"<div><dt>{what}</dt><dd>{value}</dd></div>" for what, value in facts.items())
    return section("answer", "Recommendation", *parts, f'<dl class="facts">{listed}</dl>')


def _scores(content: Mapping[str, Any]) -> str:
    figures = "".join(_figure(content, score) for score in SCORES)
    marks = {content["k"]: " (recommended)", **{k: " (as good)" for k in content["as_good"] if k != content["k"]}}
    rows = [
        (f"{row['k']}{marks.get(row['k'], '')}", *(_mean_and_std(row[score]) for score in SCORES))
        for row in content["scores"]
    ]
    numbers = table(("clusters", *(title for title, _ in SCORES.values())), rows)
    return section(
        "scores",
        "Scores",
        note(
            "Each number of clusters was tried on ten halves of the data: the line is the mean, the band one "
            "standard deviation. The filled dot is the recommended number; hollow ones are not told from it."
            + (" The dashed line is the number of classes." if content["n_classes"] else "")
        ),
        f'<div class="charts">{figures}</div>',
        scrolled("Scores in numbers", numbers),
    )


def _figure(content: Mapping[str, Any], score: str) -> str:
    title, about = SCORES[score]
    rows = [row for row in content["scores"] if None not in row[score]]
    caption = f"<figcaption><b>{title}</b><br><small>{about}</small></figcaption>"
    if not rows:
        return f"<figure>{caption}{note('The samples are too much alike for it.')}</figure>"
    ks = np.array([row["k"] for row in rows])
    means, stds = np.array([row[score] for row in rows]).T
    dots = [(i, "good") for i, k in enumerate(ks) if k in content["as_good"] and k != content["k"]]
    dots += [(i, "best") for i, k in enumerate(ks) if k == content["k"]]
    classes = content["n_classes"]
    ticks = np.unique(np.linspace(0, len(ks) - 1, min(TICKS, len(ks))).round().astype(int))
    told = f"{title} from {number(means[0])} at {ks[0]} clusters to {number(means[-1])} at {ks[-1]}"
    chart = line_chart(
        ks,
        means,
        spread=stds,
        dots=dots,
        label=f"{told}; {number(means[ks == content['k']].sum())} at the recommended {content['k']}",
        below=[(float(ks[i]), str(ks[i])) for i in ticks],
        line_at=classes if classes is not None and ks[0] <= classes <= ks[-1] else None,
    )
    return f"<figure>{caption}{chart}</figure>"


def _doubt(content: Mapping[str, Any]) -> str:
    head = ("data", "classes", "recommended", "as good")
    rows = [(escaped(a), str(b), str(c), escaped(d or "none")) for a, b, c, d in UNSEEN]
    return section(
        "doubt",
        "How far off may it be?",
        "<p>Clusters that can be told apart are not the classes that people have in mind: look at the clusters of "
        "two or three of the numbers above. The rule was fixed on two sets of digits (it says 9, and 10 or 11, of "
        "10 classes) and then scored once on what it had not seen: it was 2, 4 and 1 off, the last by luck.</p>",
        scrolled("Data that the rule had not seen", table(head, rows)),
    )


def _mean_and_std(values: list[float | None]) -> str:
    return "-" if None in values else "{:.3f} ± {:.3f}".format(*values)

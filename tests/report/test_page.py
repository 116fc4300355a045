"""The whole page: complete without a network, escaped, usable, and there whatever is missing."""

import json
import re

import numpy as np
import pytest
from html_pages import Page

from jaxdc.describe import describe
from jaxdc.report import Run, page

CONFIG = {
    "run": {
        "method": "DEC",
        "recipe": "fast",
        "seed": 0,
        "data": {"name": "shapes", "n_samples": 60, "shape": [6, 6, 3]},
        "stages": [{"method": {"method": "dec", "n_clusters": 3, "alpha": 1.0}, "epochs": 3.0}],
    },
    "environment": {"jax": "0.10", "devices": "1 x cpu"},
}
HISTORY = [
    {"stage": 1, "step": 1, "loss": 2.0, "active_clusters": 3, "acc": 0.4},
    {
        "stage": 1,
        "step": 50,
        "loss": 1.0,
        "active_clusters": 2,
        "acc": 0.5,
        "warning": "2 of 3 clusters are <left>",
    },
    {"stage": 1, "step": 99, "loss": float("nan"), "active_clusters": 3, "acc": 0.6},
]
METRICS = {"acc": 0.9, "nmi": 0.8, "ari": 0.7, "purity": 0.9, "seconds": 4.2, "images_per_second": 99.0}
METRICS |= {"protocol": "all samples", "seed": "one seed"}
ODD = (
    'a "b" c',
    "<script>alert(1)</script>",
    "</script><b>",
    "кот & 鹿",
    "שלום.png",
    "it's &amp; so",
    "\udcff.png",
)


def run_of(n=60, k=3, *, side=6, clusters=None, **changes):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % k if clusters is None else clusters
    probabilities = np.full((n, k), 0.2 / max(k - 1, 1))
    probabilities[np.arange(n), labels] = 0.8 if k > 1 else 1.0
    images = rng.integers(256, size=(n, side, side, 3), dtype=np.uint8)
    embeddings = rng.normal(size=(n, 4)) + 9 * rng.normal(size=(k, 4))[labels]
    known = {
        "config": CONFIG,
        "n_clusters": k,
        "metrics": METRICS,
        "history": HISTORY,
        "labels": labels.astype(np.int32),
        "probabilities": probabilities,
        "embeddings": embeddings,
        "labels_true": np.array([f"class {i % 3}" for i in range(n)]),
        "read": lambda parts: ((images[rows], rows) for rows in parts),
    }
    return Run(**{**known, **changes})


def shown(run, *, n_members=2, **options):
    clusters = []
    if run.probabilities is not None:
        names, texts = run.sample_names, run.texts
        clusters = describe(
            run.embeddings, run.probabilities, sample_names=names, texts=texts, n_members=n_members
        )
    found = Page(page(run, clusters, umap=False, **options))
    found.check()
    return found


def test_all_of_a_run():
    found = shown(run_of())
    assert found.ids[:1] == ["summary"]
    assert [a["id"] for a in found.all("section")] == [
        "summary",
        "map",
        "sizes",
        "clusters",
        "hierarchy",
        "confusion",
        "curves",
    ]
    assert [a["href"] for a in found.all("a")][1:8] == ["#" + a["id"] for a in found.all("section")]
    for told in ("DEC, recipe fast", "0.9000", "Protocol: all samples (one seed).", "clusters are <left>"):
        assert told in found.text
    assert "Of 60 samples 60 (100.0%)" in found.text and "Every sample is in the cluster" in found.text
    assert len(found.all("img")) == 3 * (2 + 2)
    assert len(found.samples["names"]) == 60 and found.samples["classes"][0] == "class 0"
    assert [a["aria-label"].split(";")[0] for a in found.all("svg", role="application")] == [
        f"Map by {name} of 60 samples in 3 clusters" for name in ("t-SNE", "PCA")
    ]
    tree, *charts = [a["aria-label"] for a in found.all("svg", role="img")]
    assert tree.startswith("Tree of the 3 clusters")
    assert charts[0] == "loss: 2 at step 1, 1 at step 50; from 1 to 2" and len(charts) == 3


def test_the_same_run_gives_the_same_page():
    run = run_of(40)
    assert shown(run).html == shown(run).html


def test_the_map_is_worked_by_keyboard_and_has_a_text_beside_it():
    found = shown(run_of())
    assert [a["tabindex"] for a in found.all("svg", role="application")] == ["0", "0"]
    radios = found.all("input", type="radio")
    assert [a["name"] for a in radios] == ["projection"] * 2 and "checked" in radios[0]
    assert [a["value"] for a in found.all("option")] == ["", "0", "1", "2"]
    assert "The map in words" in found.text and "arrow keys" in found.text
    assert "ArrowLeft" in found.html and found.all("div", **{"aria-live": "polite"})
    dots = [re.findall(r"M(-?\d+) (-?\d+)h0", a["d"]) for a in found.all("path") if "data-c" in a]
    assert [len(d) for d in dots] == [20] * 6  # three clusters, two drawings
    assert all(0 <= int(x) <= 1000 for some in dots for dot in some for x in dot)


def test_large_sets_are_sampled_and_it_is_said():
    found = shown(run_of(60), n_points=30)
    assert "30 of 60 samples, a dot each" in found.text
    assert len(found.samples["names"]) == 30 and sorted(found.samples["clusters"]) == found.samples["clusters"]


def test_odd_names_are_escaped_and_shown_right():
    names = [f"pictures/{ODD[i % len(ODD)]} {i}" for i in range(60)]
    config = json.loads(json.dumps(CONFIG).replace('"shapes"', json.dumps('my <b>"odd" pictures\'')))
    classes = np.array(["<i>one</i>", "zwei & 2", '"drei"'])[np.arange(60) % 3]
    found = shown(run_of(sample_names=names, config=config, labels_true=classes), n_members=20)
    assert len(found.all("script")) == 2 and not found.all("b", id=None)[0].get("onclick")
    assert not {"i"} & {t for t, a in found.elements if t == "i" and not a}
    assert found.samples["names"][0] == names[0].removeprefix("pictures/")
    for text in (
        "<script>alert(1)</script> 1",
        "кот & 鹿 3",
        "it's &amp; so 5",
        "\ufffd.png 6",
        'my <b>"odd" pic',
    ):
        assert text in found.text
    assert "Names below pictures" in found.text and "<i>one</i>" in found.text
    found.html.encode()  # nothing that a file can't hold


HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 1</script>",
    "</style><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' x='",
    "{{ 7*7 }}",
    "{% for i in range(9) %}{{ self }}{% endfor %}",
    "{# gone #}",
    "javascript:alert(1)",
    "&lt;b&gt;",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_name_is_a_name_wherever_it_stands(hostile):
    """The page has the elements and attributes of one with a harmless name, and shows the hostile one as it is."""

    def with_name(name):
        config = json.loads(json.dumps(CONFIG))
        config["run"] |= {"method": name, "recipe": name, "seed": name}
        config["run"]["data"]["name"] = name
        config["run"]["stages"][0]["method"] |= {name: name, "method": name}
        config["environment"] |= {"devices": name}
        history = [{"stage": 1, "step": i, name: 1.0 / i, "warning": name} for i in (1, 2)]
        return shown(
            run_of(
                config=config,
                history=history,
                metrics={**METRICS, "protocol": name, "seed": name},
                sample_names=[f"{name}/{name} {i}" for i in range(60)],
                texts=[f"{name} {i}" for i in range(60)],
                labels_true=np.array([f"{name} a", f"{name} b", f"{name} c"])[np.roll(np.arange(60), 1) % 3],
                missing={"samples": name},
            )
        )

    def tame(text):
        return re.sub(r"[^\w/ ]", "-", text)

    found, harmless = with_name(hostile), with_name(tame(hostile))
    assert [(tag, sorted(a)) for tag, a in found.elements] == [(tag, sorted(a)) for tag, a in harmless.elements]
    assert tame(found.text) == tame(harmless.text) and found.text.count(hostile) > 20
    assert hostile.split("/")[-1] in found.samples["names"][0] and hostile in found.samples["classes"][0]


def test_texts_have_terms_and_are_cut():
    words = ("cat dog paw", "bank loan bond", "sun moon <star>")
    texts = [f"{words[i % 3]} w{i} " + "long " * 200 for i in range(60)]
    found = shown(run_of(texts=texts, read=None))
    assert all(word in found.text for word in ("cat", "bond", "star", "<star>"))
    assert all(len(text) < 200 for text in found.samples["texts"])
    assert found.all("blockquote") and not found.all("img")


@pytest.mark.full
def test_two_hundred_clusters_stay_usable():
    found = shown(run_of(600, 200, history=[], labels_true=np.arange(600) % 150))
    assert len(found.all("article")) == 200
    assert len(found.all("img", **{"class": "matrix"})) == 1 and not found.all("span", **{"class": "cell"})
    assert found.all("g")[0]["class"].split() == ["numbers", "many"]  # small, and none on a phone


@pytest.mark.full
def test_two_hundred_clusters_of_pictures_that_do_not_compress():
    run = run_of(4000, 200, side=96, history=[], labels_true=None)
    found = shown(run, n_members=20)
    assert len(found.html) < 20e6 and len(found.samples["names"]) == 2000
    assert len(found.all("img")) == 4000 and "10 members of each kind are shown instead of 20" in found.text


@pytest.mark.full
def test_too_many_members_are_fewer_and_it_is_said():
    found = shown(run_of(3000, 300, read=None, history=[]), n_members=10, n_points=10)
    assert "6 members of each kind are shown instead of 10" in found.text


@pytest.mark.parametrize("part", ["metrics", "history", "probabilities", "embeddings", "labels"])
def test_what_is_missing_is_said_and_the_rest_is_there(part):
    gone = {"labels", "probabilities"} if part == "labels" else {part}
    changes = {name: [] if name == "history" else None for name in gone}
    said = {name: f"There is no file of {name} here." for name in gone}
    found = shown(run_of(missing=said, **changes))
    assert said[part] in found.text
    rest = {"summary", "map", "sizes", "clusters", "curves"}
    assert rest <= {a["id"] for a in found.all("section")}
    assert ("Map by PCA" in found.html) == (part not in ("embeddings", "labels"))
    assert bool(found.all("polyline")) == (part != "history")


def test_samples_that_are_gone_leave_the_names():
    found = shown(run_of(read=None, labels_true=None, missing={"samples": "The samples are gone."}))
    assert found.text.count("The samples are gone.") == 3
    assert not found.all("img") and "The classes are not at hand" in found.text


def test_without_labels_nothing_speaks_of_classes():
    found = shown(run_of(labels_true=None, metrics={**METRICS, "acc": None}))
    assert "confusion" not in found.ids and "ACC" not in found.text.split("Loss and health")[0]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.zeros(60, int), "Everything is in one cluster"),
        (np.arange(60) % 2, "1 of 3 clusters have no sample."),
        (np.zeros(1, int), "They are too few or too much alike for t-SNE"),
        (np.zeros(0, int), "No sample is in any cluster."),
    ],
)
def test_few_clusters_are_left(labels, told):
    found = shown(run_of(len(labels), clusters=labels, labels_true=None))
    assert told in found.text and "c2" in found.ids


def test_embeddings_without_meaning():
    found = shown(run_of(embeddings=np.zeros((60, 4))))
    assert "all embeddings are the same" in found.text
    assert (
        "No sample has an embedding of finite numbers" in shown(run_of(embeddings=np.full((60, 4), np.nan))).text
    )

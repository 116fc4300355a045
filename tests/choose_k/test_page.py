"""The page of ``jaxdc choose-k``."""

import re

import pytest
from html_pages import Page

from jaxdc.choose_k.page import page


def content(k=4, as_good=(4, 5), ks=range(3, 9), n_classes=4, **more):
    rows = [
        {
            "k": j,
            "silhouette": [0.5 - 0.1 * abs(j - k), 0.02],
            "davies_bouldin": [1.0, 0.1],
            "stability": [0.9, 0.0],
        }
        for j in ks
    ]
    about = {"data": "blobs", "n_samples": 160, "embedding": "input", "seed": 0, "seconds": 2.0, **more}
    return {"k": k, "as_good": list(as_good), "n_classes": n_classes, "scores": rows, **about}


def test_the_recommendation_is_drawn_and_told():
    made = page(content())
    assert "4 clusters have the highest silhouette; not told from it: 5." in made
    assert "4, which was not used; the number is not off" in made
    assert made.count('class="best"') == made.count('class="line-at"') == 3  # in each plot
    assert made.count('class="good"') == 3
    assert "0.400 ± 0.020" in made
    assert "at the end of what was tried" not in made
    assert not re.search(r"(src|href)=\"(?!#)", made)  # nothing from a network


def test_without_labels_no_classes_are_spoken_of():
    made = page(content(n_classes=None))
    assert 'class="line-at' not in made and "dashed" not in made and "not used" not in made
    assert 'class="line-at' not in page(content(n_classes=40))  # outside of what was tried


def test_what_is_doubtful_is_said():
    assert "at the end of what was tried" in page(content(k=8, as_good=[8]))
    assert "nothing was found" in page(content(as_good=[3, 4, 5, 6]))


def test_scores_that_are_missing_and_names_of_any_kind():
    of_few = content(data="<b>&'é\udcff")
    of_few["scores"][2]["silhouette"] = [None, None]
    for row in of_few["scores"]:
        row["stability"] = [None, None]
    made = page(of_few)
    assert "<b>&" not in made and "&lt;b&gt;&amp;" in made
    assert "too much alike" in made
    assert made.count("<svg") == 2
    made.encode()
    Page(made).check()


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\" onclick='alert(1)'", "{{ 7*7 }}{% raw %}"])
def test_a_hostile_name_is_a_name(name):
    found, harmless = (Page(page(content(data=one, embedding=one))) for one in (name, "harmless"))
    found.check()
    assert [(tag, sorted(a)) for tag, a in found.elements] == [(tag, sorted(a)) for tag, a in harmless.elements]
    assert found.text.count(name) == 4  # the title twice, the data, the features


@pytest.mark.parametrize("ks", [[4], [4, 5]])
def test_one_number_or_two(ks):
    assert page(content(ks=ks, as_good=[4])).count("<svg") == 3

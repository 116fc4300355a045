"""What is put into a template comes out as text, wherever it stands."""

import json
import re
from pathlib import Path

import jinja2
import pytest
from html_pages import Page

import jaxdc
from jaxdc.report.document import document, policy
from jaxdc.report.templates import render, section

TEMPLATES = sorted(Path(jaxdc.__file__).parent.rglob("*.html"))


def test_no_text_becomes_markup():
    made = section(anchor="a", link="a", title="<b a='1'>&\"", notes=["{{ 7*7 }}{% raw %}", "a\x00\udcffb"])
    assert "<h2>&lt;b a=&#39;1&#39;&gt;&amp;&#34;</h2>" in made.html
    assert "{{ 7*7 }}{% raw %}" in made.html and "a\ufffd\ufffdb" in made.html


def test_a_section_is_escaped_once():
    made = document("a & b", [section(anchor="x", link="<x>", title="c & d"), None])
    assert made.count("a &amp; b") == 2 and "&lt;x&gt;" in made and "c &amp; d" in made and "&amp;amp;" not in made


def test_data_for_the_script_end_where_they_should():
    names = ["</script><!--", "\u2028", "\udcff", "é", "'{{ 7*7 }}'"]
    content = {"drawings": [], "side": 1, "clusters": [], "many": 1, "n_samples": 0, "neighbors": []}
    made = section("map.html", anchor="x", link="x", title="x", samples={"names": names}, **content).html
    body = re.search(r'<script type="application/json" id="samples">(.*?)</script>', made)[1]
    assert "<" not in body and "é" in body
    assert json.loads(body) == {"names": [name.replace("\udcff", "\ufffd") for name in names]}


def test_a_template_that_lacks_something_fails():
    with pytest.raises(jinja2.UndefinedError, match="'sections' is undefined"):
        render("document.html", title="x", policy="", style="", script="", version="")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_goes_around_escaping_or_the_policy(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe|autoescape|<[^>]*\s(style|on\w+)=", text)


def test_there_are_templates():
    assert {"document.html", "section.html", "pieces.html", "answer.html"} <= {path.name for path in TEMPLATES}


def test_the_policy_allows_what_is_inside_and_nothing_else():
    Page(document("x", [section(anchor="x", link="x", title="x", style=".a>.b{}")], script="a => b")).check()
    assert policy(style="", script="").split("; ")[:2] == ["default-src 'none'", "img-src data:"]
    assert "script-src 'none'" in policy(style="a", script="")
    # The hash of no text at all, as FIPS 180-4 has it, in base64.
    assert "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='" in policy(style="", script="")

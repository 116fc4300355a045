"""A page as a browser sees it: its elements, its text, and what is wrong with it."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "input", "link", "circle", "path", "polyline"}


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.html, self.elements, self.open, self.texts = html, [], [], []
        self.feed(html)
        self.close()
        assert not self.open, f"{self.open} are never closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag, **attributes):
        return [a for t, a in self.elements if t == tag and all(a.get(k) == v for k, v in attributes.items())]

    @property
    def ids(self):
        return [a["id"] for _, a in self.elements if "id" in a]

    @property
    def samples(self):
        """The data of the map."""
        return json.loads(re.search(r'<script type="application/json" id="samples">(.*?)</script>', self.html)[1])

    def check(self):
        """Whole by itself, and to be used by keyboard and by a screen reader."""
        for _, attributes in self.elements:
            for name in ("src", "href", "srcset", "action", "data", "xlink:href"):
                address = attributes.get(name)
                assert address is None or address.startswith(("data:", "#")), address
            assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert not re.search(r"@import|url\((?!data:)|\bfetch\(|XMLHttpRequest", self.html)
        assert len(self.ids) == len(set(self.ids))
        for a in self.all("a"):
            assert a["href"][1:] in self.ids, f"{a['href']} leads nowhere"
        assert all(image.get("alt") for image in self.all("img"))
        assert all(svg.get("aria-label") and svg.get("role") for svg in self.all("svg"))
        regions = [a for _, a in self.elements if a.get("class") == "scrolled"]
        assert all(a["tabindex"] == "0" and a["aria-label"] for a in regions)
        assert all("scope" in th for th in self.all("th"))
        assert "width=device-width" in self.all("meta", name="viewport")[0]["content"]
        assert "prefers-color-scheme:dark" in self.html.replace(" ", "")
        assert self.all("html")[0]["lang"] == "en"
        self.check_policy()

    def check_policy(self):
        """The browser is told to use what is written here, each style and each script, and no more."""
        policy = self.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
        allowed = dict(part.split(" ", 1) for part in policy.split("; "))
        assert allowed["default-src"] == "'none'" and allowed["img-src"] == "data:"
        for tag in ("style", "script"):
            inside = re.findall(rf"<{tag}>(.*?)</{tag}>", self.html, re.S)
            hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inside}
            assert allowed[f"{tag}-src"].split() == ([f"'sha256-{one}'" for one in hashes] or ["'none'"])
            # Whatever else there is of the kind is data.
            assert all(a in ({}, {"type": "application/json", "id": "samples"}) for a in self.all(tag))

"""A single HTML file that needs no network and may not use one: sections, a style sheet and a script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources

from jaxdc.report.templates import Section, render
from jaxdc.version import __version__


def document(
    title: str, sections: Iterable[Section | None], *, style: str = "", script: str = "", sounds: bool = False
) -> str:
    """The file.

    Its Content-Security-Policy lets the browser use the one style and the one script that are written here, known
    by their hashes, and pictures and sounds that are inside. Whatever else a name might smuggle in is refused by
    the browser too, beside being escaped.

    Args:
      title: title of the page.
      sections: in their order; None is left out.
      style: CSS, after that of all pages and before that of the sections.
      script: JavaScript, run at the end of the page.
      sounds: whether it has sounds, which the browser may then play.
    """
    from markupsafe import Markup

    there = [section for section in sections if section is not None]
    styles = (resource("page.css"), style, *(section.style for section in there))
    style = "\n".join(filter(None, styles))
    return render(
        "document.html",
        title=title,
        sections=there,
        policy=policy(style=style, script=script, sounds=sounds),
        style=Markup(style),
        script=Markup(script),
        version=__version__,
    )


def policy(*, style: str, script: str, sounds: bool = False) -> str:
    """Content security policy (CSP level 3): this style sheet, this script, embedded pictures and sounds."""
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        **({"media-src": "data:"} if sounds else {}),
        "style-src": _source(style),
        "script-src": _source(script) if script else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{what} {source}" for what, source in allowed.items())


def resource(name: str) -> str:
    """The text of a file beside this one."""
    return resources.files("jaxdc.report").joinpath(name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""HTML from Jinja templates, which escape all content; nothing else writes HTML."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxdc.report.text import cut, number, shown

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

REPORT = "jaxdc.report"


class Section(NamedTuple):
    """A part of a page.

    Attributes:
      anchor: the id that leads to it.
      link: its name in the list at the top.
      html: all of it.
      style: CSS that it alone needs.
    """

    anchor: str
    link: str
    html: Markup
    style: str = ""


def section(
    template: str = "section.html",
    *,
    anchor: str,
    link: str,
    title: str,
    notes: Iterable[str] = (),
    alerts: Iterable[str] = (),
    style: str = "",
    package: str = REPORT,
    **content: Any,
) -> Section:
    """A section from a template that extends ``section.html``, which holds the title and the sentences.

    Args:
      template: its name.
      anchor: the id that leads to the section.
      link: its name in the list at the top of the page.
      title: its heading.
      notes: sentences on what is missing or sampled.
      alerts: sentences that nobody should miss.
      style: CSS that it alone needs, as it is.
      package: where the template is.
      **content: what the template names.
    """
    texts = {"title": title, "notes": notes, "alerts": alerts}
    return Section(anchor, link, render(template, package=package, anchor=anchor, **texts, **content), style)


def render(template: str, *, package: str = REPORT, **content: Any) -> Markup:
    """Renders a template of a package. The result is HTML and is not escaped again.

    Raises:
      jinja2.UndefinedError: the template names something that ``content`` does not have.
    """
    from markupsafe import Markup

    return Markup(_environment(package).get_template(template).render(content))


@functools.cache
def _environment(package: str) -> jinja2.Environment:
    """The templates of a package, with those of the report that they extend."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(one) for one in dict.fromkeys((package, REPORT))]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if hasattr(value, "__html__") else shown(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"cut": cut, "number": number, "written": format}
    made.policies["json.dumps_function"] = _json
    return made


def _json(content: Any, **_: Any) -> str:
    return shown(json.dumps(content, ensure_ascii=False, separators=(",", ":")))

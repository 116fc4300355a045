"""What the pages in ``docs/`` promise: every public name has its place."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from jaxdc import methods

ROOT = Path(__file__).resolve().parent.parent
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md")}
INSIDE = {"__version__", "check_settings"}  # the latter is shared by modules of the package


def public_names(module):
    """Those that a package lists as its own (``from x import y as y``), or that a module defines."""
    text = Path(module.__file__).read_text(encoding="utf-8")
    stub = Path(module.__file__).with_suffix(".pyi")
    if stub.exists():
        text = stub.read_text(encoding="utf-8")
    listed = set(re.findall(r"^ *from [\w.]+ import (\w+) as \1$", text, re.M))
    listed -= set(getattr(module, "_MODULES", ()))
    defined = {
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
        if inspect.isfunction(value) or inspect.isclass(value)
    }
    return (listed | defined) - INSIDE


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_public_name_is_on_its_page(page):
    module = importlib.import_module("jaxdc" if page == "jaxdc" else f"jaxdc.{page}")
    shown = set(re.findall(r"^\.\. auto\w+:: (?:[\w.]+\.)?(\w+)$", PAGES[page], re.M))
    names = public_names(module)
    if page == "jaxdc":  # the methods have a page of their own
        names -= public_names(importlib.import_module("jaxdc.methods"))
        names |= {"Schedule", "forecast", "StageForecast"}
    assert shown == names


def test_every_public_module_has_a_page():
    import jaxdc

    assert set(jaxdc._MODULES) - {"runs", "train"} <= set(PAGES)
    listed = re.findall(r"^api/(\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(PAGES)


def test_every_method_has_one_row_in_the_guide():
    rows = [
        line
        for line in (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(methods.ALL)


def test_what_the_guide_says_was_measured_is_in_the_results():
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    figures = {float(figure) for figure in re.findall(r"\b0\.\d{2,4}\b", results)}
    near = {round(figure, 3) for figure in figures} | {round(figure - 1e-9, 3) for figure in figures}
    for line in (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            measured = line.split("|")[4]
            assert {float(figure) for figure in re.findall(r"0\.\d{3}", measured)} <= near, line


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_every_line_of_a_table_has_as_many_cells_as_its_head(page):
    n_cells = None
    for line in page.read_text(encoding="utf-8").splitlines():
        found = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert n_cells is None or found in (None, n_cells), line
        n_cells = found

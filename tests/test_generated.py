"""What ``docs/generate.py`` and ``docs/results.py`` write is up to date."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def generator(script):
    spec = importlib.util.spec_from_file_location(Path(script).stem, ROOT / script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATORS = {script: generator(script) for script in ("docs/generate.py", "docs/results.py")}


@pytest.mark.parametrize(("script", "name"), [(script, f) for script, of in GENERATORS.items() for f in of.FILES])
def test_it_is_up_to_date(script, name):
    expected = GENERATORS[script].FILES[name]()
    assert (ROOT / name).read_text("utf-8") == expected, f"{name} is out of date: run python {script}"


def test_every_result_is_on_the_page():
    """What was measured is told: none is left out of the template."""
    results, page = GENERATORS["docs/results.py"], (ROOT / "docs" / "results.md").read_text("utf-8")
    stems = [path.stem for path in (ROOT / "experiments" / "results").glob("*.json")]
    for one in (one for stem in stems for one in results.measured(stem)):
        for row in one["rows"].values():
            assert results.number(row["acc"]) in " ".join(page.split())
    titles = [one for stem in stems for one in results.measured(stem, "tables")]
    assert len(titles) > 3
    for one in titles:
        assert results.markdown(one["columns"], one["lines"]) in page

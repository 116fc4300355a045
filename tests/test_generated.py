"""What docs/generate.py writes is up to date: run ``python docs/generate.py`` after adding a method."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", generate().FILES)
def test_it_is_up_to_date(name):
    expected = generate().FILES[name]()
    assert (ROOT / name).read_text() == expected, f"{name} is out of date: run python docs/generate.py"

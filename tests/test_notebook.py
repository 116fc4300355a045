"""The notebook of docs/ runs from top to bottom, and shows what comes out."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "quickstart.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
# Runs cells as a notebook does, one name space and the value of a last expression shown, but without Jupyter.
RUNNER = """
import ast, json, sys

names = {"__name__": "__main__"}
for source in json.load(open(sys.argv[1], encoding="utf-8")):
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        body.append(last)
        last = None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
    value = None if last is None else eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    if value is not None:
        print(repr(value))
    print("<<end of the cell>>")
"""


def shown(cell):
    """What a cell shows, as text."""
    texts = [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]
    return "\n".join("".join(text) for text in texts)


def form(text):
    """A text without addresses, spaces, and its fractions, which another processor may round."""
    return re.sub(r"\s+", "", re.sub(r"\d+\.\d*", "0.0", re.sub(r" at 0x[0-9A-Fa-f]+", "", text)))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each cell prints in a process of its own that starts in an empty folder."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = folder / "cells.json"
    cells.write_text(json.dumps(["".join(cell["source"]) for cell in CELLS]), encoding="utf-8")
    run = [sys.executable, "-c", RUNNER, str(cells)]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "runs" / "digits" / "report.html").exists()
    return done.stdout.split("<<end of the cell>>\n")[:-1]


@pytest.mark.full
@pytest.mark.parametrize("i", range(len(CELLS)))
def test_a_cell_shows_what_comes_out(outputs, i):
    assert form(outputs[i]) == form(shown(CELLS[i])) != ""


@pytest.mark.full
def test_scores_are_those_that_are_shown(outputs):
    """As near as rounding on other processors, carried through a training, lets them be."""
    for was, is_now in zip(map(shown, CELLS), outputs, strict=True):
        scores = [re.findall(r"(?:ACC|NMI) ([\d.]+)", text) for text in (was, is_now)]
        for old, new in zip(*scores, strict=True):
            assert float(new) == pytest.approx(float(old), abs=0.1)


def test_it_was_run_in_order_and_is_small():
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    assert NOTEBOOK.stat().st_size < 100_000

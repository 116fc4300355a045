"""The drill: bad inputs of all kinds end with code 0 or 2, a sentence, and nothing half-written."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from bad_inputs import FILES, cases, fault_of, good_run

SEED = 0
QUICK = 7  # one of each kind


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return good_run(tmp_path_factory.mktemp("good"))


def test_a_few(good, tmp_path):
    for i, make in enumerate(itertools.islice(cases(SEED + 1, good), QUICK)):
        here = tmp_path / str(i)
        here.mkdir()
        name, wrong = fault_of(make, here)
        assert wrong is None, (i, name, wrong)


@pytest.mark.parametrize("kind", FILES)
def test_the_good_files_are_good(kind, tmp_path):
    import numpy as np

    path = FILES[kind](tmp_path, np.random.default_rng(0))
    assert path.exists()


@pytest.mark.full
@pytest.mark.parametrize(
    "first", [0, 100, 200, *(pytest.param(first, marks=pytest.mark.long) for first in (300, 400, 500))]
)
def test_all_of_them(first):
    """In processes of their own, of which the memory is measured."""
    command = [sys.executable, str(Path(__file__).with_name("bad_inputs.py")), str(SEED), str(first), "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [json.loads(line) for line in done.stdout.splitlines()] == []

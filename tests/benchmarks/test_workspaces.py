"""The benchmark of workspaces, on one small log."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "workspaces.py"


@pytest.mark.full
def test_the_table_has_a_row_for_each_similarity():
    command = [sys.executable, BENCHMARK, "--seeds", 0, 1, "--sessions", 6, "--workspaces", 5, "--epochs", 1]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": os.environ["JAXDC_TEST_CACHE"]}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("6 sessions a user") :]
    assert "(5 are true)" in table
    rows = [line for line in table.splitlines() if "±" in line]
    assert [row.split("│")[1].strip() for row in rows] == [
        "learned, with texts",
        "learned, from the log alone",
        "texts alone",
        "counts alone",
    ]
    assert all(row.count("±") == 5 for row in rows)

"""The benchmark of expanded short texts, on a few made up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "word_clusters.py"


@pytest.mark.long
def test_the_table_has_a_row_for_each_part(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "texts.jsonl"
    rows = (
        {"text": " ".join(f"w{i % 2}x{j}" for j in rng.integers(20, size=6)), "label": i % 2} for i in range(80)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, BENCHMARK, path, "--seeds", "1", "2", "--labels", "5", "--n-word-clusters", "4"]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": os.environ["JAXDC_TEST_CACHE"]}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("80 texts") :]
    assert "5 labels a class" in table and "k-means NMI" in table
    rows = [line for line in table.splitlines() if "±" in line]
    assert [row.split("│")[1].strip() for row in rows] == [
        "words (tf-idf)",
        "+ clusters",
        "+ centroids",
        "+ vectors",
        "+ clusters + vectors",
        "vectors alone",
    ]
    assert all(row.count("±") == 3 for row in rows)

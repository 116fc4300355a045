"""Our half of the benchmark on the digits, and on texts; the peer is not needed for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = ({"text": f"w{chr(97 + i % 7) * 2} w{chr(97 + i % 11) * 3}", "label": i % 7} for i in range(600))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.full
@pytest.mark.parametrize("data", ["digits", "texts"])
def test_our_half_is_measured(data, texts, tmp_path):
    output = tmp_path / "figures.json"
    command = [sys.executable, BENCHMARKS / "dec_vs_clustpy.py", "--data", texts if data == "texts" else data]
    short = ["--pretrain-epochs", "1", "--cluster-epochs", "1", "--bare-steps", "5", "--output", output]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": os.environ["JAXDC_TEST_CACHE"]}
    done = subprocess.run([*command, *short], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    written = json.loads(output.read_text())
    assert written["n_clusters"] == (7 if data == "texts" else 10)
    parts = {"pretraining", "k-means", "clustering", "refresh of p"}
    assert set(written["ours_seconds"]) == {*parts, "whole run"}
    assert sum(written["ours_seconds"][part] for part in parts) <= written["ours_seconds"]["whole run"]

"""The whole benchmark on a tiny network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.full
def test_the_share_of_the_slow_clock_is_measured(tmp_path):
    output = tmp_path / "figures.json"
    command = [sys.executable, BENCHMARKS / "slow_clock.py", "--methods", "cc", "simclr", "nonsense"]
    tiny = "--n-samples 600 --depth 10 --width 4 --batch 20 --steps 2 --rounds 2"
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": os.environ["JAXDC_TEST_CACHE"]}
    done = subprocess.run(
        [*command, *tiny.split(), "--output", output], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "not among the methods: nonsense" in done.stdout
    assert "embedding scaled from 512 images" in " ".join(done.stdout.split())
    written = json.loads(output.read_text())
    assert written["machine"]["device"] == "cpu"
    assert list(written["results"]) == ["cc", "simclr"]
    for row in written["results"].values():
        slow = row["embed_seconds"] + row["refresh_seconds"] + row["assign_seconds"]
        fast = row["step_seconds"] * row["steps_between_refreshes"]
        assert row["share"] == pytest.approx(slow / (slow + fast))
        assert len(row["step_seconds_of_turns"]) == 2
        assert row["step_seconds"] > 1e-4
        assert row["embed_seconds"] > 1e-3
    cc, simclr = written["results"].values()
    assert cc["clock"]
    assert cc["steps_between_refreshes"] == 10 * (600 // 20)
    assert not simclr["clock"]
    assert simclr["refresh_seconds"] > cc["refresh_seconds"]  # 20 runs of k-means, and nothing

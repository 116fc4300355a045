"""A prediction by hand, and the whole benchmark on a tiny network."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """A module of ``benchmarks``, which leaves the environment as it was."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("JAX_PLATFORMS", "XLA_FLAGS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return importlib.import_module


def test_a_prediction_by_hand(benchmark, monkeypatch):
    scaling = benchmark("scaling")
    machine = scaling.Machine(flops=1e12, memory=1e12, capacity=1e9, link=1e9, latency=1e-5)
    monkeypatch.setitem(scaling.MACHINES, "toy-4", machine)
    monkeypatch.setattr(scaling, "step_operations", lambda *_, **__: 1e9)
    sent = scaling.Sent(gradients=10_000_000, fixed=500_000, n_fixed=98, per_sample=2000.0, n_batch=2, state=0)
    arguments = argparse.Namespace(depth=10, width=8, side=32, traffic=0.01)
    found = scaling.predict("idfd", sent, "toy-4", 64, arguments)
    work = max(16 * 1e9 / 0.7e12, 16 * 0.01e9 / 0.85e12)  # 16 images a device: arithmetic, or memory
    waits = 100 * 1e-5 + (2 * 500_000 + 64 * 2000) / 1e9
    gradients = 2 * 10_000_000 / 1e9
    late, early = work / (work + waits + gradients), work / (work + waits + gradients - work / 2)
    assert found["efficiency"] == pytest.approx([late, early])
    assert found["batch_of_a_device"] == 16
    assert found["matrix_share"] == pytest.approx(0.7)


@pytest.mark.full
def test_the_benchmark_counts_and_predicts(tmp_path):
    tiny = ["--methods", "idfd", "--depth", "10", "--width", "4", "--side", "32", "--samples", "64", "--output"]
    command = [sys.executable, BENCHMARKS / "scaling.py", *tiny]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": os.environ["JAXDC_TEST_CACHE"]}
    done = subprocess.run([*command, tmp_path / "a.json"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "a.json").read_text())["results"]["idfd"]
    assert first["sent"]["gradients"] > 1000
    assert first["sent"]["per_sample"] > 0
    again = [*command, tmp_path / "b.json", "--counts", tmp_path / "a.json"]
    subprocess.run(again, check=True, capture_output=True, env=environment)
    assert json.loads((tmp_path / "b.json").read_text())["results"]["idfd"] == first

"""A real process, killed for real, at moments that it does not choose."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxdc import fit, methods, nn
from jaxdc.methods.base import Experiment, Stage

SETTINGS = ["--data", "digits", "--hidden", "64", "--latent", "5", "--refresh-steps", "20", "--tolerance", "0"]
SETTINGS += ["--pretrain-epochs", "60", "--epochs", "60", "--checkpoint-minutes", "0.005", "--no-report"]


def environment_of(workdir):
    """Of a process; those of one test share what they compile, and nobody else reads what a killed one wrote."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(workdir.parent / "compiled")}
    cache |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    return {**os.environ, **cache, "JAX_PLATFORMS": "cpu"}


def start(workdir):
    command = [sys.executable, "-m", "jaxdc", "train", "idec", *SETTINGS, "--workdir", str(workdir)]
    environment = environment_of(workdir)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def place(workdir):
    """How far the run says it is: (stage, step)."""
    try:
        last = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    except (OSError, IndexError, json.JSONDecodeError):
        return (0, 0)
    return (last["stage"], last["step"])


def final(workdir):
    probabilities, embeddings = (np.load(workdir / f"{name}.npy") for name in ("probabilities", "embeddings"))
    return probabilities, embeddings


# That a stopped run ends in the same bits, tests/train/test_loop.py sees within one process.
@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGKILL, marks=pytest.mark.full), pytest.param(signal.SIGTERM, marks=pytest.mark.long)],
)
def test_killed_runs_end_in_the_same_bits(number, tmp_path):
    whole = start(tmp_path / "whole")
    assert whole.wait(timeout=300) == 0, whole.stderr.read()

    workdir, killed = tmp_path / "killed", 0
    for goal in ((1, 50), (1, 250), (2, 30), (2, 300)):
        process = start(workdir)
        deadline = time.monotonic() + 120
        while place(workdir) < goal and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        code = process.wait(timeout=60)
        killed += code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
        if number == signal.SIGTERM and code:
            assert "run the same command again" in process.stderr.read()
    assert killed >= 3
    last = start(workdir)
    assert last.wait(timeout=300) == 0
    assert "resuming from stage 2" in last.stderr.read()
    for a, b in zip(final(tmp_path / "whole"), final(workdir), strict=True):
        np.testing.assert_array_equal(a, b)
    places = [place_of(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert places == sorted(places)


def place_of(line):
    row = json.loads(line)
    return (row["stage"], row["step"])


CODE = """
import os, signal, sys
here, name, workdir, last = sys.argv[1:]
sys.path.insert(0, here)
import test_kill as this
kind = type(this.method(name))
refresh, ticks = kind.refresh, []
def killed(self, model, aux, features, key):
    ticks.append(refresh(self, model, aux, features, key))
    if len(ticks) == int(last):
        os.kill(os.getpid(), signal.SIGKILL)
    return ticks[-1]
kind.refresh = killed
this.pseudo_labels(name, workdir)
"""


def method(name):
    small = {"n_clusters": 3, "backbone": nn.Backbone(depth=10, width=4), "refresh_epochs": 0.8}
    settings = {
        "scan": {"n_neighbors": 4, "projection": 5},
        "pcl": {"projection": 5, "n_prototypes": (4, 6), "warmup_epochs": 1.6},
        "deepcluster": {"n_pseudo_clusters": 6},
        "deepcluster_v2": {"projection": 5, "n_pseudo_clusters": 4},
    }
    return methods.ALL[name](**small, **settings[name])


def pseudo_labels(name, workdir):
    x = np.random.default_rng(0).integers(256, size=(40, 8, 8, 3)).astype(np.uint8)
    stage = Stage(method=method(name), steps=17, batch_size=8)
    fit(Experiment((stage,)), x, workdir=workdir, checkpoint_seconds=0.0)


def run_code(name, workdir, last):
    """In a process of its own, as another has other compiled programs; ``last`` is the refresh that kills it."""
    command = [sys.executable, "-c", CODE, os.path.dirname(__file__), name, str(workdir), str(last)]
    environment = {**environment_of(workdir), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, timeout=300)


@pytest.mark.long  # that a stopped run of each ends in the same bits, tests/methods/ sees within one process
@pytest.mark.parametrize("name", ["scan", "pcl", "deepcluster", "deepcluster_v2"])
def test_killed_within_a_refresh(name, tmp_path):
    killed = run_code(name, tmp_path / "run", 3)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert place(tmp_path / "run") == (1, 8)  # the third tick was being worked on
    for workdir in (tmp_path / "run", tmp_path / "whole"):
        ended = run_code(name, workdir, 0)
        assert ended.returncode == 0, ended.stderr[-2000:]
    for a, b in zip(final(tmp_path / "whole"), final(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(a, b)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "active_clusters" in row] == [0, 4, 8, 12, 16, 17]

"""A real process, killed for real, at moments that it does not choose."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

SETTINGS = ["--data", "digits", "--hidden", "64", "--latent", "5", "--refresh-steps", "20", "--tolerance", "0"]
SETTINGS += ["--pretrain-epochs", "60", "--epochs", "60", "--checkpoint-minutes", "0.005"]


def start(workdir):
    command = [sys.executable, "-m", "jaxdc.cli", "train", "idec", *SETTINGS, "--workdir", str(workdir)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
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


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
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
            assert "the same command goes on" in process.stderr.read()
    assert killed >= 3
    last = start(workdir)
    assert last.wait(timeout=300) == 0
    assert "going on from stage 2" in last.stderr.read()
    for a, b in zip(final(tmp_path / "whole"), final(workdir), strict=True):
        np.testing.assert_array_equal(a, b)
    places = [place_of(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert places == sorted(places)


def place_of(line):
    row = json.loads(line)
    return (row["stage"], row["step"])

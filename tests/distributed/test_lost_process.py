"""Two real processes, joined by their environment alone; one is killed, and nothing is lost."""

import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxdc.runs.progress import read_rows

SETTINGS = ["--data", "digits", "--hidden", "64", "--latent", "5", "--refresh-steps", "20", "--tolerance", "0"]
SETTINGS += ["--pretrain-epochs", "20", "--epochs", "20", "--checkpoint-minutes", "0.005", "--no-report"]


@pytest.fixture
def start():
    started = []

    def start(workdir, settings=(), folders=(None, None)):
        """The same command on both hosts; of their environment, one variable differs."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "jaxdc", "train", "idec", *SETTINGS, *settings]
        environ = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}"}
        processes = [
            subprocess.Popen(
                [*command, "--workdir", str(workdir)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**environ, "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(i)},
                cwd=folders[i],
            )
            for i in range(2)
        ]
        started.extend(processes)
        return processes

    yield start
    for process in started:
        process.kill()
        process.communicate()


def place(workdir):
    """How far the run says it is: (stage, step)."""
    rows = read_rows(workdir / "metrics.jsonl") if (workdir / "metrics.jsonl").exists() else []
    return (rows[-1]["stage"], rows[-1]["step"]) if rows else (0, 0)


def labels(workdir):
    return np.load(workdir / "probabilities.npy").argmax(axis=1)


@pytest.mark.full
@pytest.mark.parametrize("lost", [1, 0])
def test_the_others_end_and_the_same_command_goes_on(lost, start, tmp_path):
    whole = start(tmp_path / "whole")
    said = [process.communicate(timeout=300)[1] for process in whole]
    assert [process.returncode for process in whole] == [0, 0], said
    assert "ACC" in said[0]
    assert "samples" not in said[1]  # process 0 alone speaks

    workdir = tmp_path / "killed"
    for goal in ((1, 60), (2, 60)):
        processes = start(workdir)
        deadline = time.monotonic() + 200
        while place(workdir) < goal and processes[0].poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        processes[lost].kill()
        killed = time.monotonic()
        error = processes[1 - lost].communicate(timeout=60)[1]
        assert time.monotonic() - killed < 60
        if lost:  # the death of process 0 takes the service along, which may abort first, with words of its own
            assert processes[0].returncode == 1
            assert "error: process 1 of 2 was lost" in error
            assert f"to resume from its checkpoint of stage {goal[0]}, step" in error
        assert processes[1 - lost].returncode not in (0, 2)
    last = start(workdir)
    said = [process.communicate(timeout=300)[1] for process in last]
    assert [process.returncode for process in last] == [0, 0], said
    assert "resuming from stage 2" in said[0]
    np.testing.assert_array_equal(labels(workdir), labels(tmp_path / "whole"))


def test_what_one_host_refuses_ends_both(start, tmp_path):
    folders = [tmp_path / name for name in ("host0", "host1")]
    for folder in folders:
        folder.mkdir()
    np.save(folders[0] / "x.npy", np.random.default_rng(0).normal(size=(50, 4)))
    settings = ["--data", "x.npy", "--n-clusters", "2", "--batch-size", "10"]
    processes = start(tmp_path / "run", settings, folders)
    said = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2], said
    assert "error: there is no file or folder x.npy (reported by process 1)" in said[0]
    assert "error" not in said[1]

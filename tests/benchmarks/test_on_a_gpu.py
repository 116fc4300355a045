"""The queue for an accelerator: all of it on a CPU at tiny sizes, what is skipped, what a stop leaves behind."""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxdc.experiment import load_tables

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "on_a_gpu.sh"
PROFILES = ("profile", "profile_conv_fusion", "profile_command_buffer")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """160 + 40 pictures of two kinds of noise, as the file of CIFAR-10 has its own."""
    rng, arrays = np.random.default_rng(0), {}
    for split, n in (("train", 320), ("test", 40)):
        labels = np.arange(n) % 10
        encoded = []
        for label in labels:
            file = io.BytesIO()
            pixels = np.clip(rng.normal(25 * label + 12, 10, size=(32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(file, "JPEG")
            encoded.append(file.getvalue())
        arrays[f"{split}_jpeg"] = np.frombuffer(b"".join(encoded), np.uint8)
        arrays[f"{split}_offset"] = np.cumsum([0, *map(len, encoded)])
        arrays[f"{split}_label"] = labels
    path = tmp_path_factory.mktemp("data") / "cifar10_jpeg.npz"
    np.savez(path, **arrays, classes=np.array([f"class {i}" for i in range(10)]))
    return path


def queue(data, folder, *arguments, flags="", **more):
    environment = os.environ | {
        "OUT": str(folder / "out"),
        "PYTHON": sys.executable,
        "JAX_COMPILATION_CACHE_DIR": os.environ["JAXDC_TEST_CACHE"],
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags,
    }
    command = [SCRIPT, *arguments, "--data", data, "--state", folder / "state", "--tiny", "--seeds", "0"]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=environment, **more
    )


@pytest.fixture
def module(monkeypatch):
    """``benchmarks/_gpu_queue.py``."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("_gpu_queue")


def told(folder):
    return json.loads((folder / "out" / "queue.json").read_text())


@pytest.mark.long
def test_the_whole_queue_runs_and_is_skipped_the_next_time(data, tmp_path, module):
    # A CPU's compiler may not know a GPU's flag, and end at once: that job fails and keeps no other from running.
    done = queue(data, tmp_path)
    states = told(tmp_path)
    failed = {name for name, what in states.items() if not what.startswith("finished")}
    assert failed <= {"profile_conv_fusion", "profile_command_buffer"}, done.stdout + done.stderr
    assert list(states)[:4] == ["cc", "simclr", "scan", "selflabel"]
    accuracy = [job.name for job in module.accuracy_jobs(data, tmp_path, 0)]
    assert set(states) >= {*accuracy, *PROFILES, "throughput_idfd", "resnet50", "stream", "losses", "slow_clock"}
    for name in accuracy:
        rows = json.loads((tmp_path / "out" / f"{name}.json").read_text())["rows"]
        (row,) = rows.values()
        assert 0 < row["runs"][0]["acc"] <= 1 and row["runs"][0]["seed"] == 0
    idfd = json.loads((tmp_path / "out" / "idfd.json").read_text())["rows"]["IDFD"]["runs"][0]
    assert "the memory bank" in idfd["alternatives"]
    assert json.loads((tmp_path / "out" / "profile.json").read_text())["kernels_per_step"] > 0
    again = queue(data, tmp_path, *(name for name in states if name not in failed), timeout=60)
    assert again.returncode == 0
    assert set(told(tmp_path).values()) == {"finished before"}


@pytest.mark.full
def test_a_stopped_job_leaves_a_checkpoint_and_goes_on(data, tmp_path, monkeypatch, module):
    job = module.accuracy_jobs(data, tmp_path / "state", 0)[1]
    tiny = module.TINY_RUN.replace("--epochs 1", "--epochs 40")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", os.environ["JAXDC_TEST_CACHE"])
    job = module.dataclasses.replace(job, tiny=tiny, seconds=60)
    waiting = module.Queue(tmp_path / "state", tmp_path / "out", minutes=None, tiny=True)
    waiting.make_folders()
    first = waiting.run(job)
    assert not waiting.is_finished(job) or first.startswith("finished")
    if first.startswith("stopped"):  # a machine may be fast enough to finish
        log = (tmp_path / "out" / "simclr.txt").read_text()
        assert "a checkpoint is in" in log
        assert waiting.run(module.dataclasses.replace(job, seconds=300)).startswith("finished")
        assert "resuming from stage 1, step" in (tmp_path / "out" / "simclr.txt").read_text()
    assert waiting.is_finished(job)
    # Another command of the same name is another job.
    assert not waiting.is_finished(module.dataclasses.replace(job, tiny=tiny + " --seeds 1"))


def test_every_experiment_on_photographs_is_in_the_queue(module, tmp_path):
    """``docs/methods.md`` says so of what is not yet measured."""
    queued = {}
    for job in module.accuracy_jobs(tmp_path / "cifar10_jpeg.npz", tmp_path, 0):
        (file,) = (word for word in job.arguments(tiny=False) if word.startswith("experiments/"))
        queued.setdefault(Path(file).stem, set()).add(job.row)
    for path in (ROOT / "experiments").glob("*.py"):
        table = load_tables(path).get("cifar10") if path.stem != "datasets" else None
        if table is None or table.data.data != "cifar10" or table.data.encoder is not None:
            assert path.stem not in queued
        # SimCLR's row is the pretext of SCAN's table.
        elif path.stem != "simclr":
            assert queued.get(path.stem, set()) & set(table.rows), f"{path.name} is not in the queue"
            assert queued[path.stem] <= set(table.rows)


def test_a_list_writes_nothing(data, tmp_path):
    done = queue(data, tmp_path, "--list")
    assert done.returncode == 0
    assert "to do" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_no_job_begins_that_cannot_end_in_time(data, tmp_path):
    done = queue(data, tmp_path, "cc", "losses", "--minutes", "0.5")
    assert done.returncode == 0
    assert told(tmp_path) == {"cc": "no time left", "losses": "no time left"}
    assert "the same command goes on" in done.stdout
    assert queue(data, tmp_path, "nothing").returncode == 2


def test_a_job_that_does_not_listen_is_killed(monkeypatch, module):
    monkeypatch.setattr(module, "GRACE", 0.5)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    process.stdout.readline()
    assert module.wait(process, 0.1) is None
    assert process.returncode == -signal.SIGKILL
    process.stdout.close()

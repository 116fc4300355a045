"""Two real processes that train together over loopback."""

import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxdc import fit
from jaxdc.data import ArraySource
from jaxdc.methods import AE, IDEC
from jaxdc.stages import Experiment, Stage

CODE = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
port, index, workdir, kind = sys.argv[1:5]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(index))
sys.path.insert(0, sys.argv[5])
import test_two_processes as this
result = this.run(kind, workdir=workdir)
print(json.dumps({"devices": jax.device_count(), "losses": this.losses(result), "labels": result.labels.tolist()}))
"""


class Stream(ArraySource):
    def __init__(self, *args):
        super().__init__(*args)
        self.array = None


def run(kind, **arguments):
    rng = np.random.default_rng(0)
    means = rng.uniform(0, 255, size=(3, 36))
    labels = rng.integers(3, size=121)
    x = np.clip(means[labels] + rng.normal(scale=20, size=(121, 36)), 0, 255).astype(np.uint8)
    source = (Stream if kind == "stream" else ArraySource)(x, labels)
    small = {"n_clusters": 3, "hidden": (16,), "latent": 4}
    stages = (
        Stage(method=AE(**small), steps=10, batch_size=40),
        Stage(method=IDEC(**small, refresh_steps=5, tolerance=0.0), steps=12, batch_size=40),
    )
    return fit(Experiment(stages), source, **arguments)


def losses(result):
    """By stage, last step and number of steps: how many a dispatch holds depends on the clock."""
    rows = [row for row in result.history if "loss" in row]
    return {f"{row['stage']}-{row['step']}-{row['n_steps']}": row["loss"] for row in rows}


@pytest.mark.parametrize("kind", ["resident", "stream"])
def test_two_processes_are_one_run(kind, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = os.path.dirname(__file__)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(port), str(i), str(tmp_path / "run"), kind, here],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        for i in range(2)
    ]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs[0][1][-3000:] + outputs[1][1][-3000:]
    answers = [json.loads(out.splitlines()[-1]) for out, _ in outputs]
    assert answers[0]["devices"] == 4
    assert answers[0]["labels"] == answers[1]["labels"]
    alone = run(kind, devices=jax.devices()[:1])
    shared = set(answers[0]["losses"]) & set(losses(alone))
    assert {"1-1-1", "2-1-1"} <= shared
    for place in shared:
        np.testing.assert_allclose(answers[0]["losses"][place], losses(alone)[place], rtol=2e-4, err_msg=place)
    assert answers[0]["labels"] == alone.labels.tolist()
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "metrics.json", "assignments.csv", "checkpoints"} <= files

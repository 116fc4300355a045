"""Two real processes that stream a set of TensorFlow Datasets: each reads its own rows, and both are one run."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest
import tfds_sets
from two_processes import answers_of

from jaxdc import fit
from jaxdc.data import open_source
from jaxdc.methods import AE
from jaxdc.methods.base import Experiment, Stage
from jaxdc.train import stage_run

pytest.importorskip("tensorflow_datasets", reason="the extra jaxdc[data] is not installed")

N, BATCH, STEPS = 121, 40, 9  # three epochs of three steps
CODE = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
port, index, folder, workdir, here = sys.argv[1:6]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(index))
sys.path[:0] = [here, here + "/.."]
import test_two_processes_tfds as this
this.stage_run.DISPATCH_SECONDS = 0.0
print(json.dumps(this.run(folder, workdir=workdir)))
"""


def run(folder, **arguments):
    """Losses, labels, and the rows of each batch that this process read."""
    source = open_source("photos", data_dir=Path(folder), resident_bytes=0)
    batches, opened = [], source.batches

    def noted(*args, **kwargs):
        for x, rows in opened(*args, **kwargs):
            batches.append(rows.tolist())
            yield x, rows

    source.batches = noted
    stage = Stage(method=AE(n_clusters=3, hidden=(16,), latent=4), steps=STEPS, batch_size=BATCH)
    result = fit(Experiment((stage,)), source, **arguments)
    losses = [row["loss"] for row in result.history if "loss" in row]
    return {"losses": losses, "labels": result.labels.tolist(), "batches": batches}


@pytest.mark.full
def test_two_processes_stream_one_order(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    means, labels = rng.uniform(0, 255, size=(3, 6, 6, 1)), rng.integers(3, size=N)
    x = np.clip(means[labels] + rng.normal(scale=20, size=(N, 6, 6, 1)), 0, 255).astype(np.uint8)
    examples = [(tfds_sets.encoded(image), int(label)) for image, label in zip(x, labels, strict=True)]
    folder = tfds_sets.write(tmp_path / "tfds", {"train": examples}, shape=(6, 6, 1))
    first, second = answers_of(CODE, folder, tmp_path / "run", os.path.dirname(__file__))
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)
    alone = run(folder, devices=jax.devices()[:1])
    assert len(alone["batches"]) == len(alone["losses"]) == STEPS
    assert [a + b for a, b in zip(first["batches"], second["batches"], strict=True)] == alone["batches"]
    np.testing.assert_allclose(first["losses"], alone["losses"], rtol=1e-4)
    assert first["labels"] == second["labels"] == alone["labels"]

"""Two real processes that train together over loopback."""

import os

import jax
import numpy as np
import pytest
from two_processes import answers_of

from jaxdc import fit, nn
from jaxdc.data import ArraySource
from jaxdc.methods import AE, IDEC, IDFD, PCL, SCAN, MoCo, SimCLR
from jaxdc.methods.base import Experiment, Optimizer, Stage
from jaxdc.runs import config
from jaxdc.train import stage_run

CODE = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[6]))
port, index, workdir, kind = sys.argv[1:5]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(index))
sys.path.insert(0, sys.argv[5])
import test_two_processes as this
this.stage_run.DISPATCH_SECONDS = 0.0
result = this.run(kind, workdir=workdir)
print(json.dumps({"devices": jax.device_count(), "losses": this.losses(result), "labels": result.labels.tolist()}))
"""


class Stream(ArraySource):
    def __init__(self, *args):
        super().__init__(*args)
        self.array = None


# A memory bank, a queue with a momentum encoder, NT-Xent; and prototypes, for a longer chain adds up its rounding.
CONTRASTIVE = {"contrast": (IDFD, MoCo, SimCLR), "prototypes": (PCL,)}


def run(kind, **arguments):
    rng = np.random.default_rng(0)
    means = rng.uniform(0, 255, size=(3, 36))
    labels = rng.integers(3, size=121)
    x = np.clip(means[labels] + rng.normal(scale=20, size=(121, 36)), 0, 255).astype(np.uint8)
    source = (Stream if kind == "stream" else ArraySource)(x, labels)
    if kind in CONTRASTIVE:
        images = ArraySource(x.reshape(-1, 6, 6, 1), labels)
        return fit(Experiment(contrastive_stages(CONTRASTIVE[kind])), images, **arguments)
    if kind == "pairs":
        # Pixels, not an untrained network's features, so close that rounding alone says which is the nearest.
        stage = Stage(method=SCAN(n_clusters=3, n_neighbors=1), steps=20, batch_size=40)
        return fit(Experiment((stage,)), Stream(x, labels), **arguments)
    small = {"n_clusters": 3, "hidden": (16,), "latent": 4}
    stages = (
        Stage(method=AE(**small), steps=10, batch_size=40),
        Stage(method=IDEC(**small, refresh_steps=5, tolerance=0.0), steps=12, batch_size=40),
    )
    return fit(Experiment(stages[1:] if kind == "stream" else stages), source, **arguments)


def contrastive_stages(kinds):
    """20 steps each."""
    small = {"n_clusters": 3, "backbone": nn.Backbone(depth=10, width=4), "projection": 8}
    sgd = Optimizer(name="sgd", learning_rate=0.001)  # see tests/methods/test_contract.py
    return tuple(Stage(method=kind(**small), steps=20, batch_size=40, optimizer=sgd) for kind in kinds)


def losses(result):
    """By stage, last step and number of steps."""
    rows = [row for row in result.history if "loss" in row]
    return {f"{row['stage']}-{row['step']}-{row['n_steps']}": row["loss"] for row in rows}


@pytest.fixture(autouse=True)
def one_step_a_dispatch(monkeypatch):
    """How many a dispatch holds depends on the clock otherwise."""
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)


@pytest.mark.full
@pytest.mark.parametrize(
    ("kind", "n_devices"),
    [
        ("resident", 2),
        ("stream", 2),
        ("contrast", 4),
        ("prototypes", 4),
        ("pairs", 2),
    ],
)
def test_two_processes_are_one_run(kind, n_devices, tmp_path):
    answers = answers_of(CODE, tmp_path / "run", kind, os.path.dirname(__file__), n_devices)
    assert answers[0]["devices"] == 2 * n_devices
    assert answers[0]["labels"] == answers[1]["labels"]
    alone = run(kind, devices=jax.devices()[:1])
    expected = losses(alone)
    assert len(expected) == sum(stage.n_steps(121) for stage in config.experiment_of(alone.config).stages)
    assert set(answers[0]["losses"]) == set(expected)
    for place, loss in expected.items():
        np.testing.assert_allclose(answers[0]["losses"][place], loss, rtol=1e-4, err_msg=place)
    assert answers[0]["labels"] == alone.labels.tolist()
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "metrics.json", "assignments.csv", "checkpoints"} <= files

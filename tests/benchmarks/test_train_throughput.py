"""The count of operations against the network's own trace, and the whole benchmark on a tiny network."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxdc import nn

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def operations(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _operations

    return _operations


def traced_macs(depth, side, stem, width):
    """Output values of each convolution of the forward pass, times the multiply-adds that each takes."""
    graphdef, state = nnx.split(nnx.eval_shape(lambda: nn.ResNet(depth, stem=stem, width=width, rngs=nnx.Rngs(0))))
    x = jnp.zeros((1, side, side, 3))
    jaxpr = jax.make_jaxpr(lambda state: nnx.merge(graphdef, state)(x))(state)
    found = [e for e in jaxpr.eqns if e.primitive.name == "conv_general_dilated"]
    return [math.prod(e.outvars[0].aval.shape) * math.prod(e.invars[1].aval.shape[:3]) for e in found]


def test_resnet18_at_32_pixels_takes_half_a_billion_multiply_adds(operations):
    assert sum(operations.convolution_macs(18, 32)) == pytest.approx(0.56e9, rel=0.01)
    assert sum(operations.convolution_macs(50, 224, stem="imagenet")) == pytest.approx(4.09e9, rel=0.01)


@pytest.mark.parametrize(
    ("depth", "side", "stem", "width"),
    [(10, 32, "cifar", 16), (18, 96, "stl", 64), (34, 33, "cifar", 8), (50, 224, "imagenet", 64)],
)
def test_convolutions_are_those_of_the_network(operations, depth, side, stem, width):
    counted = operations.convolution_macs(depth, side, stem=stem, width=width)
    assert sorted(counted) == sorted(traced_macs(depth, side, stem, width))


def test_a_step_counts_what_each_method_computes(operations):
    first, *others = operations.convolution_macs(18, 32)
    trained = 2 * (2 * first + 3 * sum(others))
    counted = {m: operations.step_operations(m, 18, 32) for m in ("simclr", "cc", "idfd", "moco")}
    forward = 2 * (first + sum(others))
    assert counted == {"simclr": 2 * trained, "cc": 2 * trained, "idfd": trained, "moco": trained + forward}


@pytest.mark.full
def test_the_benchmark_runs_without_torch(tmp_path):
    output = tmp_path / "figures.json"
    command = [sys.executable, BENCHMARKS / "train_throughput.py", "--methods", "idfd", "--output", output]
    tiny = "--network resnet10 --width 4 --image-size 8 --batch 8 --samples 32 --dtype float32 --input stream"
    turns = "--steps 3 --rounds 1"
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": os.environ["JAXDC_TEST_CACHE"]}
    done = subprocess.run(
        [*command, *tiny.split(), *turns.split()], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "images/s" in done.stdout
    figures = json.loads(output.read_text())["idfd"]
    assert 0 < figures["jaxdc"]["input_wait_share"] < 1
    assert figures["jaxdc"]["seconds_per_step"] > 0
    assert figures["matrix_rate"] > 1e8

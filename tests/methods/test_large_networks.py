"""Networks too large for any matrix of all pairs of nodes."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx

from jaxdc import methods
from jaxdc.methods.base import DataSpec, Graph

pytestmark = pytest.mark.full
N, M, WIDTH = 100_000, 1_000_000, 64
NAMES = ["gae", "vgae", "daegc", "deepwalk", "graph_filter", "louvain"]


@pytest.fixture(scope="module")
def spec():
    graph = Graph(N, np.random.default_rng(0).integers(N, size=(M, 2)))
    return DataSpec((WIDTH,), N, graph=graph)


@pytest.fixture(scope="module", params=NAMES)
def begun(request, spec):
    method = methods.ALL[request.param](n_clusters=10)
    method = method.stages("fast", spec)[-1].method
    model, aux = method.init(jax.random.key(0), spec)
    return method, *nnx.split(model), aux


def temporaries(function, *arguments):
    """Bytes that the compiled function needs beside its arguments and results."""
    return jax.jit(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


@pytest.fixture(scope="module")
def batch():
    return {"x": jax.ShapeDtypeStruct((N, WIDTH), np.float32), "index": jax.ShapeDtypeStruct((N,), np.int32)}


def test_a_step_needs_memory_for_the_edges_not_for_the_pairs(begun, batch):
    method, graphdef, state, aux = begun
    if not method.is_trained:
        pytest.skip("no steps")
    if not method.full_batch:
        batch = {name: jax.ShapeDtypeStruct((1024, *one.shape[1:]), one.dtype) for name, one in batch.items()}

    def loss(state, aux, batch, key):
        return method.loss(nnx.merge(graphdef, state), aux, batch, key)[0]

    assert temporaries(jax.grad(loss), state, aux, batch, jax.random.key(0)) < 2 * 2**30  # all pairs: 40 GB


def test_features_need_no_more(begun, batch):
    method, graphdef, state, aux = begun

    def embed(state, aux, batch):
        return method.embed(nnx.merge(graphdef, state), aux, batch)

    assert temporaries(embed, state, aux, batch) < 2**30


RUN = """
import json, sys, time
import numpy as np
import jaxdc
from jaxdc.data import GraphSource
from jaxdc.methods.base import DataSpec, Experiment, Stage

name, (n, m, steps) = sys.argv[1], map(int, sys.argv[2:])
rng = np.random.default_rng(0)
labels = np.sort(rng.integers(10, size=n))
a, first = rng.integers(n, size=m), np.searchsorted(labels, np.arange(11))
inside = first[labels[a]] + rng.integers(n, size=m) % np.diff(first)[labels[a]]
b = np.where(rng.uniform(size=m) < 0.8, inside, rng.integers(n, size=m))  # 8 of 10 edges in a group
x = rng.normal(size=(n, 64)) + 0.3 * rng.normal(size=(10, 64))[labels]
source = GraphSource(np.stack([a, b], axis=1), x.astype(np.float32), labels)
stages = jaxdc.methods.ALL[name](n_clusters=10).stages("fast", DataSpec((64,), n, graph=source.graph))
short = [
    stage if stage.steps == 0 else Stage(method=stage.method, steps=steps, batch_size=stage.batch_size)
    for stage in stages
]
start = time.perf_counter()
result = jaxdc.fit(Experiment(tuple(short)), source)
seconds = time.perf_counter() - start
# Of this program: ru_maxrss begins with that of the process it was started from.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak = int(status["VmHWM"].split()[0]) * 1024
print(json.dumps({"labels": len(result.labels), "peak": peak, "seconds": seconds, "acc": result.metrics["acc"]}))
"""


def run(name, n, m, steps):
    arguments = [sys.executable, "-c", RUN, name, str(n), str(m), str(steps)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["labels"] == n
    return found


@pytest.mark.parametrize("name", ["gae", "daegc"])
def test_a_run_stays_below_one_matrix_of_all_pairs(name):
    assert run(name, 20_000, 200_000, 3)["peak"] < 20_000**2 * 4  # 1.6 GB, with Python and JAX


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES[:1] + NAMES[2:5])
def test_a_hundred_thousand_nodes_and_a_million_edges(name):
    found = run(name, N, M, 5)
    print(name, found)
    assert found["peak"] < 4 * 2**30

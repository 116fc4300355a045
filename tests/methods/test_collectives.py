"""What a step sends between devices: counted in the compiled program, beside what the algorithm asks for."""

import math
import re

import jax
import jax.numpy as jnp
import pytest

from jaxdc import methods, nn
from jaxdc.distributed import sharding
from jaxdc.methods.base import DataSpec, Stage
from jaxdc.train import steps
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import abstract_state

pytestmark = pytest.mark.optimized
N, BATCH, WIDTH, K = 512, 64, 24, 5
SPEC = DataSpec((16, 16, 3), N)
LEVELS = 9  # batch normalisations of a ResNet-10 one after another; those of the shortcuts go along
KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast"


def shape_of(dims):
    return tuple(int(d) for d in dims.split(",") if d)


def collectives(name, **settings):
    """The kind and the shapes of every collective of one step on 8 devices, and the number of parameters."""
    if hasattr(methods.ALL[name](n_clusters=K), "projection"):
        settings["projection"] = WIDTH
    method = methods.ALL[name](n_clusters=K, backbone=nn.Backbone(depth=10, width=8), **settings)
    mesh = sharding.make_mesh()
    tx = make_optimizer(Stage(method=method, steps=10, batch_size=BATCH), N)
    graphdef, state = abstract_state(method, tx, SPEC, mesh)
    by_sample = sharding.by_sample(mesh)
    drawn = jax.eval_shape(steps.make_draw(method, mesh, N), state.aux, jax.random.key(0), 0).shape[1:]
    x = jax.ShapeDtypeStruct((BATCH, *drawn, *SPEC.shape), jnp.uint8, sharding=by_sample)
    rows = jax.ShapeDtypeStruct((BATCH, *drawn), jnp.int32, sharding=by_sample)
    text = steps.make_streaming_step(method, graphdef, tx, mesh, 1).lower(state, x, rows).compile().as_text()
    found = re.findall(rf"= (\(.*?\)|\S+) ({KINDS})(?:-start)?\(", text)
    shapes = [(kind, [shape_of(dims) for dims in re.findall(r"[a-z]\d+\[([\d,]*)\]", out)]) for out, kind in found]
    return shapes, sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))


# Beside gradients and batch statistics: what is gathered, and how many numbers are summed.
NEEDED = {
    # Both views' projections; the gradient of that gathering is scattered.
    "simclr": ([(2, BATCH, WIDTH)], 0),
    # The keys for the queue, and their places in it.
    "moco": ([(BATCH, WIDTH), (BATCH, 1)], 0),
    # The same: prototypes and all labels are on every device.
    "pcl": ([(BATCH, WIDTH), (BATCH, 1)], 0),
    # As SimCLR; the products of the columns, and both mean assignments.
    "cc": ([(2, BATCH, WIDTH)], (2 * K) ** 2 + 2 * K),
    # What is compared with the shares of the memory bank and enters them, and where; and the gradients of two sums
    # for each sample. The largest product of each sample, and the products of the features.
    "idfd": ([(BATCH, WIDTH), (BATCH,), (2, BATCH)], BATCH + WIDTH**2),
    "idfo": ([(BATCH, WIDTH), (BATCH,), (2, BATCH)], BATCH + WIDTH**2),
    "id": ([(BATCH, WIDTH), (BATCH,), (2, BATCH)], BATCH),
    # Nothing: the mean assignment is summed, and both parts of the loss.
    "scan": ([], K + 2),
    # Nothing: the confident samples of each class are counted, then two sums of the loss and the share.
    "selflabel": ([], K + 3),
    # Nothing: every device has all pseudo-labels, and looks up those of its samples. The share of them that the
    # classifier knows is summed.
    "deepcluster": ([], 1),
    # What enters each view's bank, and where; nothing for the prototypes.
    "deepcluster_v2": ([(2, BATCH, WIDTH), (BATCH, 1)], 0),
}

# What is summed while it is scattered, so that each device gets the part of its samples.
SCATTERED = {
    "simclr": [(2, BATCH // 8, WIDTH)],
    "cc": [(2, BATCH // 8, WIDTH)],
    # Two sums for each sample; and the gradient of the gathering.
    **{name: [(2, BATCH // 8), (BATCH // 8, WIDTH)] for name in ("idfd", "idfo", "id")},
}

# Features of a batch normalisation outside the encoder: that of the projection's hidden layer.
NORMED = {"deepcluster_v2": 64}


@pytest.mark.full
@pytest.mark.parametrize("name", NEEDED)
def test_a_step_sends_no_more_than_it_needs(name):
    found, n_parameters = collectives(name)
    gathered, summed = NEEDED[name]
    assert {kind for kind, _ in found} <= {"all-gather", "all-reduce", "reduce-scatter"}
    scattered = sorted(shape for kind, shapes in found if kind == "reduce-scatter" for shape in shapes)
    assert scattered == sorted(SCATTERED.get(name, []))
    assert sorted(shape for kind, shapes in found if kind == "all-gather" for shape in shapes) == sorted(gathered)
    reductions = [shapes for kind, shapes in found if kind == "all-reduce"]
    # Batch statistics forward and backward; the gradients, of the heads and of the rest; and the extra ones.
    levels = LEVELS + (name in NORMED)
    passes = 3 if name == "selflabel" else 2  # the views that give the labels pass forward alone
    assert len(reductions) <= passes * levels + 2 + (3 if name == "selflabel" else summed > 0)
    # Every gradient once. A batch normalisation's mean and variance, and the two sums of its derivative, which
    # are the gradients of its scale and shift, have as many numbers as it has features; and the loss itself.
    features = 8 * (1 + 2) + 16 * 3 + 32 * 3 + 64 * 3 + NORMED.get(name, 0)
    total = sum(math.prod(shape) for shapes in reductions for shape in shapes)
    assert total <= n_parameters + 2 * passes * features + summed + 8

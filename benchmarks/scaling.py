"""What a training step of many devices sends, and how far it would scale: counted here, then predicted.

    python benchmarks/scaling.py                                 # ResNet-50, 224 pixels: a quarter of an hour
    python benchmarks/scaling.py --depth 10 --width 8 --side 32  # the same in a minute

Counted: the steps are compiled, not run, for 2, 4 and 8 virtual devices of this machine with the same batch on
each, and their collectives read off the programs. Those that every step needs whatever the batch (gradients,
batch statistics) must not change with the number of devices, and those of a batch (embeddings) must grow with the
whole batch alone; the benchmark fails if they do otherwise.

Predicted, nothing measured: the seconds of a step's arithmetic and memory traffic on the batch of a device, at
what part of the makers' figures is said, and the seconds of its collectives: bytes over the links' bandwidth, and
a latency for each one that the next layer waits for. Gradients are sent while the backward pass goes on, or after
it: the two ends of the range. Efficiency is the first of these seconds over all of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
from collections import Counter
from pathlib import Path
from typing import NamedTuple

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"

import jax
import jax.numpy as jnp
from _hlo_traffic import collectives
from _operations import step_operations
from _step_options import METHODS
from rich.console import Console
from rich.table import Table

from jaxdc.distributed import sharding
from jaxdc.methods import DataSpec
from jaxdc.methods.base import Optimizer, Stage
from jaxdc.nn import Backbone
from jaxdc.train import steps
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import abstract_state

COUNTS = (2, 4, 8)
BATCHES = (4096, 16_384, 65_536)


class Machine(NamedTuple):
    """Makers' figures of a chip, and assumptions on its network.

    Attributes:
      flops: peak bfloat16 FLOP/s.
      memory: bytes/s of its memory.
      capacity: bytes of it.
      link: bytes/s at which a chip sends in an all-reduce over all of them.
      latency: seconds of a small all-reduce over all of them; assumed.
    """

    flops: float
    memory: float
    capacity: float
    link: float
    latency: float


# TPUs: four and six links of 50 and 100 GB/s each way, on a torus; a microsecond a hop along two or three rings.
# H100: eight in a node (450 GB/s each way) with a network card of 50 GB/s each. All eight cards of a node share
# the bytes of an all-reduce between nodes, after a reduction within it; 15 microseconds and 3 a doubling of nodes.
MACHINES = {
    "v5e-256": Machine(197e12, 819e9, 16e9, 200e9, 32e-6),
    "v5p-256": Machine(459e12, 2765e9, 95 * 2**30, 600e9, 20e-6),
    "H100-64": Machine(989e12, 3350e9, 80e9, 211e9, 24e-6),
    "H100-256": Machine(989e12, 3350e9, 80e9, 211e9, 30e-6),
    "H100-512": Machine(989e12, 3350e9, 80e9, 211e9, 33e-6),
}
MATRIX_SHARE, MEMORY_SHARE = 0.7, 0.85  # of the makers' figures that convolutions and other kernels reach


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--depth", type=int, choices=(10, 18, 34, 50), default=50)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=2, help="batch of each virtual device")
    parser.add_argument("--samples", type=int, default=1_281_024, help="images of the set, for IDFD's bank")
    parser.add_argument(
        "--traffic",
        type=float,
        default=0.4,
        help="GB of memory traffic for an image and view, forward and backward",
    )
    parser.add_argument("--counts", type=Path, help="JSON of an earlier run to take the counts from")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


def compiled(name, n_devices, arguments):
    """The step of a method for some of the virtual devices; compiled, not run."""
    stem = "cifar" if arguments.side <= 64 else "imagenet"
    backbone = Backbone(depth=arguments.depth, width=arguments.width, stem=stem, dtype="bfloat16")
    method = METHODS[name](n_clusters=100, backbone=backbone)
    batch, spec = arguments.batch * n_devices, DataSpec((arguments.side, arguments.side, 3), arguments.samples)
    mesh = sharding.make_mesh(jax.devices()[:n_devices])
    sgd = Optimizer(name="sgd", learning_rate=0.1)
    stage = Stage(method=method, steps=10, batch_size=batch, optimizer=sgd)
    tx = make_optimizer(stage, arguments.samples)
    graphdef, state = abstract_state(method, tx, spec, mesh)
    x = jax.ShapeDtypeStruct((batch, *spec.shape), jnp.uint8, sharding=sharding.by_sample(mesh))
    rows = jax.ShapeDtypeStruct((batch,), jnp.int32, sharding=sharding.by_sample(mesh))
    step = steps.make_streaming_step(method, graphdef, tx, mesh, 1).lower(state, x, rows).compile()
    return step, sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state.params))


class Sent(NamedTuple):
    """What the devices send in a step, in bytes of results on one device.

    Attributes:
      gradients: of the parameters.
      fixed: in the others that do not grow with the batch: batch statistics, sums of losses.
      n_fixed: number of those.
      per_sample: for each sample of the whole batch.
      n_batch: number of collectives that grow with the batch.
      state: bytes of the parameters and of what goes with them on each device.
    """

    gradients: int
    fixed: int
    n_fixed: int
    per_sample: float
    n_batch: int
    state: int


def count(name, arguments):
    """What a method sends, by comparing the programs for 2, 4 and 8 devices."""
    found, parameters = {}, 0
    for n in COUNTS:
        step, parameters = compiled(name, n, arguments)
        # A device gets its part of what is summed, but sends the others theirs.
        sizes = [
            (kind, size * n if kind == "reduce-scatter" else size) for kind, size in collectives(step.as_text())
        ]
        found[n] = sorted(sizes)
        state = step.memory_analysis().alias_size_in_bytes
    fixed = Counter(found[2]) & Counter(found[4]) & Counter(found[8])
    rest = {n: sorted((Counter(found[n]) - fixed).elements()) for n in COUNTS}
    sizes, slopes = [size for _, size in fixed.elements()], []
    for same in itertools.zip_longest(*(rest[n] for n in COUNTS)):
        few, some, many = (0 if one is None else one[1] for one in same)
        slope = (many - few) / (6 * arguments.batch)
        if len({one and one[0] for one in same}) > 1 or some - few != 2 * arguments.batch * slope:
            raise SystemExit(f"{name}: on {COUNTS} devices a collective is {same}, which is no line of the batch")
        slopes.append(slope)
        sizes.append(few - 2 * arguments.batch * slope)  # what the compiler sends along
    if sum(sizes) < parameters:
        raise SystemExit(f"{name}: {sum(sizes):.0f} bytes are summed, but the gradients have {parameters}")
    # The gradients are in few large reductions; the latency of one is hidden with theirs.
    n_fixed = sum(0 < size <= 0.2 * parameters for size in sizes)
    return Sent(parameters, round(sum(sizes)) - parameters, n_fixed, sum(slopes), len(slopes), state)


def predict(name, sent, machine, batch, arguments):
    """Seconds of a step's work on a device, and of what it waits for; and bytes of memory."""
    n = int(machine.split("-")[1])
    chip, local = MACHINES[machine], batch / n
    stem = "cifar" if arguments.side <= 64 else "imagenet"
    operations = step_operations(name, arguments.depth, arguments.side, stem=stem, width=arguments.width)
    views = operations / step_operations("idfd", arguments.depth, arguments.side, stem=stem, width=arguments.width)
    matrix = local * operations / (MATRIX_SHARE * chip.flops)
    memory = local * views * arguments.traffic * 1e9 / (MEMORY_SHARE * chip.memory)
    work = max(matrix, memory)
    waits = (sent.n_fixed + sent.n_batch) * chip.latency
    waits += (2 * sent.fixed + batch * sent.per_sample) / chip.link
    gradients = 2 * sent.gradients / chip.link
    hidden = max(gradients - work / 2, 0.0)
    return {
        "batch_of_a_device": local,
        "work_ms": 1e3 * work,
        "matrix_share": matrix * MATRIX_SHARE / work,
        "waits_ms": 1e3 * waits,
        "gradients_ms": 1e3 * gradients,
        "efficiency": [work / (work + waits + gradients), work / (work + waits + hidden)],
    }


def main():
    arguments, console = parse(), Console(width=max(Console().width, 110))
    counted = Table(title="Sent in a step")
    for heading in ("method", "gradients, MB", "others: number", "kB", "with the batch: number", "bytes a sample"):
        counted.add_column(heading, justify="left" if heading == "method" else "right")
    predicted = Table(title="Predicted efficiency, from gradients sent after the backward pass to during it")
    predicted.add_column("method")
    for machine in MACHINES:
        predicted.add_column(machine, justify="right")
    results = {}
    counts = json.loads(arguments.counts.read_text())["results"] if arguments.counts else {}
    for name in arguments.methods:
        sent = Sent(**counts[name]["sent"]) if counts else count(name, arguments)
        counted.add_row(
            name, f"{sent.gradients / 1e6:.1f}", str(sent.n_fixed), f"{sent.fixed / 1e3:.0f}", str(sent.n_batch),
            f"{sent.per_sample:.0f}",
        )  # fmt: skip
        results[name] = {"sent": sent._asdict(), "predicted": {}}
        for batch in BATCHES:
            row = {machine: predict(name, sent, machine, batch, arguments) for machine in MACHINES}
            results[name]["predicted"][batch] = row
            cells = ["{:.0%} to {:.0%}".format(*one["efficiency"]) for one in row.values()]
            predicted.add_row(f"{name}, {batch:,}", *cells)
    console.print(counted, predicted)
    if arguments.output:
        settings = {name: value for name, value in vars(arguments).items() if name not in ("output", "counts")}
        about = {"machine": platform.machine(), "jax": jax.__version__, "settings": settings}
        machines = {name: machine._asdict() for name, machine in MACHINES.items()}
        written = {**about, "assumed": machines, "results": results}
        arguments.output.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What share of the training time the slow clock takes, at CIFAR size: 50,000 images of 32 pixels.

    python benchmarks/slow_clock.py --dtype bfloat16                             # on an accelerator
    python benchmarks/slow_clock.py --methods cc --batch 64 --steps 1 --rounds 3 # on a CPU
    python benchmarks/slow_clock.py --methods simclr --recipe paper              # of a method that refreshes once

The steps between two refreshes, or of the whole run where the only refresh is the last, against one refresh: the
features of all images, what the method makes of them (k-means, neighbours, prototypes), and the cluster of each
for the health figures. "Share" is that of the refresh in the sum. Steps are the loop's own on uint8 noise, at the
recipe's batch and interval; a time is the median of the turns, compilation not counted. Some steps are timed and
scaled to all; on a CPU, where an epoch takes half an hour, so are some blocks of the images that are embedded.
What the method does runs whole in either case, on features of the true size: unit rows of a mixture of overlapping
Gaussians, because how long k-means goes on depends on what it is given. "First" is its first call, compilation and
all. Methods that this jaxdc does not have are left out, and named.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
import traceback
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from jaxdc import methods
from jaxdc.cluster import layout
from jaxdc.data import ArraySource
from jaxdc.distributed import sharding
from jaxdc.methods import DataSpec
from jaxdc.nn import Backbone
from jaxdc.train.assignments import Assign
from jaxdc.train.embedding import make_embed, make_embed_resident
from jaxdc.train.inputs import EMBED_BLOCK, make_input
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.stage_run import ASSIGN_BLOCK
from jaxdc.train.state import init_state, merge, replace_model

METHODS = ("cc", "scan", "selflabel", "pcl", "deepcluster", "deepcluster_v2")
CPU_EMBED_BLOCK = 256


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=METHODS, help="by the names of jaxdc list")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--n-clusters", type=int, default=10)
    parser.add_argument("--n-samples", type=int, default=50_000)
    parser.add_argument("--depth", type=int, choices=(10, 18, 34, 50), default=18)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="float32")
    parser.add_argument("--batch", type=int, help="instead of the recipe's; the epochs between refreshes stay")
    parser.add_argument("--steps", type=int, help="steps of a turn; by default 1 on a CPU and 50 elsewhere")
    parser.add_argument("--rounds", type=int, default=3, help="turns")
    parser.add_argument("--embed-blocks", type=int, default=2, help=f"of {CPU_EMBED_BLOCK} images, on a CPU")
    parser.add_argument("--output", type=Path, help="write the figures as JSON, after each method")
    return parser.parse_args()


def mixture(n, d, n_centers=100, seed=0):
    """Unit rows [n, d] about centres that overlap."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(n_centers, d)).astype(np.float32)
    x = 0.5 * centers[rng.integers(n_centers, size=n)] + rng.normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def timed(function):
    """Seconds of a call until all that it returns is there, and what it returns."""
    start = time.perf_counter()
    result = jax.block_until_ready(function())
    return time.perf_counter() - start, result


def measure(name, arguments):
    """All figures of one method."""
    mesh, on_cpu = sharding.make_mesh(), jax.devices()[0].platform == "cpu"
    images = np.random.default_rng(0).integers(0, 256, (arguments.n_samples, 32, 32, 3), dtype=np.uint8)
    source = ArraySource(images)
    spec = DataSpec(source.shape, source.n_samples, source.rms())
    backbone = Backbone(depth=arguments.depth, width=arguments.width, dtype=arguments.dtype)
    stage = methods.ALL[name](n_clusters=arguments.n_clusters, backbone=backbone).stages(arguments.recipe, spec)[
        -1
    ]
    if arguments.batch:
        stage = dataclasses.replace(stage, batch_size=arguments.batch)
    method, tx = stage.method, make_optimizer(stage, spec.n_samples)
    graphdef, state = init_state(method, tx, jax.random.key(0), spec, mesh)
    training = make_input(source, mesh)
    training.begin(stage, graphdef, tx, jax.random.key(1), 0)

    shape = jax.eval_shape(make_embed(method, graphdef, mesh), state, images[:1]).shape
    features = mixture(spec.n_samples, shape[1])
    features = jax.device_put(features, layout.sharding_of(features.shape, mesh))

    def refresh():
        model, aux = method.refresh(merge(graphdef, state), state.aux, features, jax.random.key(2))
        jax.block_until_ready((nnx.state(model), aux))
        return model, aux

    first_seconds, _ = timed(refresh)
    refresh_seconds, (model, aux) = timed(refresh)
    state = replace_model(state, model, aux, tx, mesh)  # what a step needs of a refresh is there
    training.refreshed()

    assign = Assign(method, graphdef, mesh, ASSIGN_BLOCK)

    def clusters():
        return assign.labels(state, features, spec.n_samples)

    assign_seconds = [timed(clusters)[0] for _ in range(2)][1] if method.clusters else 0.0

    block = CPU_EMBED_BLOCK if on_cpu else EMBED_BLOCK
    block = min(block * mesh.size, spec.n_samples // mesh.size * mesh.size)
    n_embedded = min(block * arguments.embed_blocks, spec.n_samples) if on_cpu else spec.n_samples
    embed = make_embed_resident(method, graphdef, mesh, block)
    x = training.x[:n_embedded]
    embed_seconds = [timed(lambda: embed(state, x))[0] for _ in range(arguments.rounds + 1)][1:]

    n, done = arguments.steps or (1 if on_cpu else 50), 0

    def train():
        nonlocal state, done
        target = done + n
        while done < target:
            state, _, took = training.advance(state, done, target - done)
            done += took
        return state

    step_seconds = [timed(train)[0] / n for _ in range(arguments.rounds + 1)][1:]
    interval = stage.refresh_interval(spec.n_samples)
    figures = {
        "recipe": arguments.recipe,
        "n_samples": spec.n_samples,
        "n_features": shape[1],
        "batch_size": stage.batch_size,
        "clock": interval is not None,
        "steps_between_refreshes": interval or stage.n_steps(spec.n_samples),
        "step_seconds": statistics.median(step_seconds),
        "step_seconds_of_turns": step_seconds,
        "steps_of_a_turn": n,
        "embed_seconds": statistics.median(embed_seconds) * spec.n_samples / n_embedded,
        "images_embedded": n_embedded,
        "refresh_seconds": refresh_seconds,
        "refresh_first_call_seconds": first_seconds,
        "assign_seconds": assign_seconds,
    }
    slow = figures["embed_seconds"] + figures["refresh_seconds"] + figures["assign_seconds"]
    fast = figures["step_seconds"] * figures["steps_between_refreshes"]
    return figures | {"share": slow / (slow + fast)}


def print_table(machine, results, arguments, console):
    some = next(iter(results.values()))
    scaled = f"; embedding scaled from {some['images_embedded']:,} images"
    where = f"{machine['devices']} x {machine['device']}, {machine['cores']} cores; jax {machine['jax']}"
    console.print(
        f"ResNet-{arguments.depth}, width {arguments.width}, {arguments.dtype}, {arguments.n_samples:,} images of "
        f"32 x 32 x 3, {arguments.n_clusters} clusters, recipe {arguments.recipe}; {where}; medians of "
        f"{arguments.rounds} turns of {some['steps_of_a_turn']} steps, scaled to those between two refreshes"
        + (scaled if some["images_embedded"] < some["n_samples"] else "")
    )
    seconds = ("steps, s", "embedding, s", "refresh, s", "(first, s)", "assign, s")
    table = Table("method", "batch", "steps between", "ms a step", *seconds, "share")
    for name, row in results.items():
        table.add_row(
            name,
            str(row["batch_size"]),
            f"{row['steps_between_refreshes']:,}" + ("" if row["clock"] else " (the run)"),
            f"{row['step_seconds'] * 1e3:,.1f}",
            f"{row['step_seconds'] * row['steps_between_refreshes']:,.1f}",
            f"{row['embed_seconds']:,.2f}",
            f"{row['refresh_seconds']:,.2f}",
            f"{row['refresh_first_call_seconds']:,.2f}",
            f"{row['assign_seconds']:,.2f}",
            f"{row['share']:.1%}",
        )
    console.print(table)


def main():
    arguments = parse()
    names = [name for name in arguments.methods if name in methods.ALL]
    absent = ", ".join(name for name in arguments.methods if name not in names)
    device = jax.devices()[0]
    machine = {
        "device": device.device_kind,
        "platform": device.platform,
        "devices": jax.device_count(),
        "cores": os.cpu_count(),
        "jax": jax.__version__,
    }
    settings = {name: getattr(arguments, name) for name in ("depth", "width", "dtype", "n_clusters")}
    console, results, failed = Console(width=120), {}, False
    for name in names:
        try:
            results[name] = measure(name, arguments)
        except Exception:  # one method's trouble keeps nothing of the others from being measured
            traceback.print_exc()
            console.print(f"[red]{name} failed")
            failed = True
            continue
        if arguments.output:
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            content = {"machine": machine, "settings": settings, "results": results}
            arguments.output.write_text(json.dumps(content, indent=2) + "\n")
    if results:
        print_table(machine, results, arguments, console)
    if absent:
        console.print(f"not among the methods: {absent}")
    sys.exit(1 if failed or not results else 0)


if __name__ == "__main__":
    main()

"""NT-Xent, value and gradient: against PyTorch and optax, in blocks and at once, and what it holds in memory.

    python benchmarks/losses.py [--peer PYTHON] [--output FILE.json]

``--peer`` names the Python of an environment with torch (``pip install torch==2.13.0``, or its CPU build);
without it those rows are left out. Ours and the peer take turns, three rounds; a row is the median of
all repeats. Memory is what the compiler sets aside for temporaries, asked without running anything.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Table

from jaxdc.losses import nt_xent

WIDTH = 128
ROUNDS = 3


def ours(block_size=None):
    def loss(z1, z2):
        return jnp.mean(nt_xent(z1, z2, temperature=0.5, block_size=block_size))

    return jax.jit(jax.value_and_grad(loss, (0, 1)))


def optaxs():
    def loss(z1, z2):
        labels = jnp.tile(jnp.arange(len(z1)), 2)
        return optax.losses.ntxent(jnp.concatenate([z1, z2]), labels, temperature=0.5)

    return jax.jit(jax.value_and_grad(loss, (0, 1)))


def seconds_of(function, batch, repeats):
    rng = np.random.default_rng(0)
    z1, z2 = (jnp.asarray(rng.normal(size=(batch, WIDTH)), jnp.float32) for _ in range(2))
    seconds = []
    for _ in range(repeats + 2):  # the first two compile and warm up
        start = time.perf_counter()
        jax.block_until_ready(function(z1, z2))
        seconds.append(time.perf_counter() - start)
    return seconds[2:]


def peer_seconds(python, batch, repeats):
    command = [python, Path(__file__).with_name("_torch_nt_xent_peer.py"), *map(str, (batch, WIDTH, repeats))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


def take_turns(first, second):
    """Medians of two functions that return lists of seconds, called in turn."""
    both = [(first(), second()) for _ in range(ROUNDS)]
    return tuple(statistics.median(s for turn in both for s in turn[side]) for side in (0, 1))


def temporaries(batch, block_size):
    """MiB that the compiled value and gradient set aside."""
    shape = jax.ShapeDtypeStruct((batch, WIDTH), jnp.float32)
    return ours(block_size).lower(shape, shape).compile().memory_analysis().temp_size_in_bytes / 2**20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", help="Python of an environment with torch")
    parser.add_argument("--shrink", type=int, default=1, help="divide all batches by it, for a quick look")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    rows, large, small = [], 2048 // arguments.shrink, 512 // arguments.shrink
    if arguments.peer:
        mine, other = take_turns(
            lambda: seconds_of(ours(), large, 20), lambda: peer_seconds(arguments.peer, large, 20)
        )
        rows.append((f"b = {large:,}", mine, "the same formula in PyTorch", other))
    mine, other = take_turns(lambda: seconds_of(ours(), small, 20), lambda: seconds_of(optaxs(), small, 1))
    rows.append((f"b = {small:,}", mine, "optax.losses.ntxent", other))
    for batch in (large, 4 * large):
        mine, other = take_turns(
            lambda batch=batch: seconds_of(ours(128), batch, 3), lambda batch=batch: seconds_of(ours(), batch, 3)
        )
        rows.append((f"b = {batch:,}, blocks of 128", mine, "all at once", other))

    device = jax.devices()[0].device_kind
    machine = f"{device}, {os.cpu_count()} cores, jax {jax.__version__}"
    title = f"NT-Xent, value and gradient, d = {WIDTH}, float32; {machine}"
    table = Table("ours", "ms", "against", "its ms", "its time / ours", title=title)
    for name, mine, against, other in rows:
        table.add_row(name, f"{mine * 1e3:.2f}", against, f"{other * 1e3:.2f}", f"{other / mine:.2f}x")
    sizes = ((8 * large, None), (8 * large, 128), (32 * large, 128))
    memory = [(batch, block, temporaries(batch, block)) for batch, block in sizes]
    sizes = Table("batch", "block", "temporaries, MiB")
    for batch, block, mebibytes in memory:
        sizes.add_row(f"{batch:,}", "-" if block is None else str(block), f"{mebibytes:,.0f}")
    console = Console()
    console.print(table)
    console.print(sizes)
    if arguments.output:
        figures = {
            "device": device,
            "cores": os.cpu_count(),
            "jax": jax.__version__,
            "median_seconds": [
                dict(zip(("ours", "seconds", "against", "its_seconds"), r, strict=True)) for r in rows
            ],
            "temporaries_mebibytes": [dict(zip(("batch", "block", "mebibytes"), m, strict=True)) for m in memory],
        }
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Milliseconds of two views of a batch, made on the device: the presets on CIFAR-shaped images.

    python benchmarks/augment.py [--batch 512] [--size 32] [--output FILE.json]

The images are float32 noise; what an augmentation costs does not depend on what they show. A row is the median of
the repeats, compilation not counted; beside it what the compiler sets aside for temporaries.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import jax
from rich.console import Console
from rich.table import Table

from jaxdc.augment import Augmentation, Original, Strong, Weak, two_views

PRESETS = {
    "original": Original(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26)),
    "weak": Weak(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26)),
    "weak with blur": Weak(blur_probability=0.5, mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26)),
    "strong, 4 operations": Strong(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26)),
    "strong, 8 operations": Strong(n_ops=8, mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26)),
}


def seconds_of_two_views(augmentation: Augmentation, *, batch=512, size=32, channels=3, repeats=10):
    """Median seconds of two views of a batch, and the bytes of its temporaries."""
    images = jax.random.uniform(jax.random.key(0), (batch, size, size, channels))
    compiled = (
        jax.jit(lambda key, images: two_views(key, images, augmentation))
        .lower(images=images, key=jax.random.key(0))
        .compile()
    )
    seconds = []
    for i in range(repeats + 2):  # the first two warm up
        key = jax.block_until_ready(jax.random.key(i))
        start = time.perf_counter()
        jax.block_until_ready(compiled(images=images, key=key))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:]), compiled.memory_analysis().temp_size_in_bytes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    sizes = {"batch": arguments.batch, "size": arguments.size, "repeats": arguments.repeats}
    rows = {name: seconds_of_two_views(preset, **sizes) for name, preset in PRESETS.items()}

    device = jax.devices()[0].device_kind
    title = (
        f"Two views of {arguments.batch} images of {arguments.size} x {arguments.size} x 3, float32; "
        f"{device}, {os.cpu_count()} cores, jax {jax.__version__}"
    )
    table = Table("preset", "ms", "images/s", "temporaries, MiB", title=title)
    for name, (seconds, memory) in rows.items():
        table.add_row(
            name, f"{seconds * 1e3:.2f}", f"{2 * arguments.batch / seconds:,.0f}", f"{memory / 2**20:,.0f}"
        )
    Console().print(table)
    if arguments.output:
        figures = {
            "device": device,
            "cores": os.cpu_count(),
            "jax": jax.__version__,
            **sizes,
            "median_seconds": {name: seconds for name, (seconds, _) in rows.items()},
            "temporaries_bytes": {name: memory for name, (_, memory) in rows.items()},
        }
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

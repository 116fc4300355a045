"""Where the time of a training step goes: its kernels on the device, by kind, from a trace of one dispatch.

    python benchmarks/profile_step.py --trace DIR                       # SimCLR, ResNet-18, 32 pixels, batch 512
    XLA_FLAGS=--xla_gpu_experimental_enable_conv_fusion=true python benchmarks/profile_step.py --trace DIR

Seconds of a step by the clock are of steps that are not traced. Kernels are told apart by their names, as XLA and
cuDNN give them; "busy" is the share of the traced time in which the device had one to run. On a CPU, whose trace
has no kernels, the operations of XLA's runtime stand for them.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import statistics
from pathlib import Path

import jax
from _jaxdc_training import Training
from _step_options import add_step_options
from rich.console import Console
from rich.table import Table

KINDS = {  # the first that a name holds one of
    "convolution": ("conv", "cudnn", "xmma", "implicit", "wgrad", "dgrad", "cutlass"),
    "matrix product": ("gemm", "dot", "nvjet", "matmul", "triton_gemm"),
    "copy": ("memcpy", "copy", "memset", "transpose"),
    "reduction": ("reduce",),
    "other fusion": ("fusion", "loop", "input", "wrapped"),
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_step_options(parser)
    parser.add_argument("--steps", type=int, default=32, help="32 are a loop; fewer come one by one")
    parser.add_argument("--trace", type=Path, required=True, help="folder for the trace, which XProf opens too")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


def kind_of(name: str) -> str:
    """What a kernel does, by its name."""
    return next((kind for kind, parts in KINDS.items() if any(p in name.lower() for p in parts)), "other")


def kernels_of(trace: Path) -> tuple[dict[str, list[float]], float]:
    """Nanoseconds of each kernel's runs by its name, and from the start of the first to the end of the last."""
    newest = max(trace.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    planes = list(jax.profiler.ProfileData.from_file(str(newest)).planes)
    on_device = [plane for plane in planes if plane.name.startswith("/device:")]
    found: dict[str, list[float]] = collections.defaultdict(list)
    begin, end = float("inf"), 0.0
    for plane in on_device or [plane for plane in planes if plane.name == "/host:CPU"]:
        for line in plane.lines:
            # A GPU's lines are streams of kernels, and summaries of them by module and operation.
            if on_device and "stream" not in line.name.lower():
                continue
            if not on_device and "xla" not in line.name.lower():
                continue
            for event in line.events:
                found[event.name].append(event.duration_ns)
                begin, end = min(begin, event.start_ns), max(end, event.start_ns + event.duration_ns)
    return found, max(end - begin, 0.0)


def main():
    arguments = parse()
    side = arguments.image_size
    training = Training(
        method=arguments.method,
        depth=int(arguments.network.removeprefix("resnet")),
        stem="cifar" if side <= 64 else "stl" if side <= 128 else "imagenet",
        width=arguments.width,
        side=side,
        batch=arguments.batch,
        dtype=arguments.dtype,
        samples=arguments.samples,
        streamed=False,
        learning_rate=0.01,
        decay=1e-4,
    )
    n = arguments.steps
    for _ in range(2):  # compiles, and lets the clock settle
        training.train(n)
    seconds = statistics.median(training.train(n)["seconds"] / n for _ in range(3))
    training.profile(str(arguments.trace), n)
    kernels, span = kernels_of(arguments.trace)
    busy = sum(map(sum, kernels.values()))
    kinds: dict[str, list[float]] = collections.defaultdict(list)
    for name, runs in kernels.items():
        kinds[kind_of(name)] += runs

    about, console = training.about(), Console(width=120)
    console.print(
        f"{arguments.method}, {arguments.network}, width {arguments.width}, {side} pixels, "
        f"batch {arguments.batch}, {arguments.dtype}; {about['device']}, jax {about['jax']}"
    )
    console.print(f"XLA_FLAGS: {os.environ.get('XLA_FLAGS', 'none')}")
    figures = {
        "settings": {name: str(value) for name, value in vars(arguments).items()},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "about": about,
        "seconds_per_step": seconds,
        "kernel_milliseconds_per_step": busy / 1e6 / n,
        "kernels_per_step": sum(map(len, kernels.values())) / n,
        "busy": busy / span if span else 0.0,
        "kinds": {kind: _per_step(runs, n) for kind, runs in kinds.items()},
        "longest": [{"name": name, **_per_step(runs, n)} for name, runs in _longest_first(kernels)[:60]],
    }
    console.print(
        f"{seconds * 1e3:.2f} ms a step by the clock; traced: {figures['kernel_milliseconds_per_step']:.2f} ms of "
        f"kernels a step, {figures['kernels_per_step']:.0f} of them, busy {figures['busy']:.0%}"
    )
    table = Table("kind", "kernels a step", "ms a step", "share")
    for kind, runs in _longest_first(kinds):
        table.add_row(kind, f"{len(runs) / n:.0f}", f"{sum(runs) / 1e6 / n:.3f}", f"{sum(runs) / busy:.0%}")
    console.print(table)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


def _longest_first(runs: dict[str, list[float]]) -> list[tuple[str, list[float]]]:
    return sorted(runs.items(), key=lambda item: -sum(item[1]))


def _per_step(runs: list[float], n_steps: int) -> dict[str, float]:
    return {"milliseconds": sum(runs) / 1e6 / n_steps, "kernels": len(runs) / n_steps}


if __name__ == "__main__":
    main()

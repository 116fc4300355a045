"""Kernels of a training step and the bytes that they move, as XLA compiles it for a device that need not be there.

    pip install --target DIR --no-deps jax-cuda13-plugin==V jax-cuda13-pjrt==V nvidia-cublas nvidia-cuda-cupti \
        nvidia-cuda-nvcc nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cusolver \
        nvidia-cusparse nvidia-nvjitlink nvidia-nvvm          # V: the version of jax; 3.2 GB
    python benchmarks/compiled_step.py --plugin DIR           # SimCLR, ResNet-18, 32 pixels, batch 512, bfloat16
    pip install --target TPU --no-deps libtpu==W              # W: the version that jax[tpu] asks for; 0.7 GB
    python benchmarks/compiled_step.py --plugin TPU --target v5e:4x2 --batch 4096

For an H100 the compiler gets a description of the chip, ``_h100.txtpb``. Without a chip it can't try kernels, so
autotuning is off: this counts kernels and bytes, and says nothing of seconds, which ``profile_step.py`` measures.
For TPUs it tells the memory on a device, and what the devices exchange.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _hlo_traffic import by_kind, collectives_of, kernels_of, waits_for_host
from _step_options import METHODS, add_step_options
from jax.experimental import topologies
from rich.console import Console
from rich.table import Table

from jaxdc.distributed import sharding
from jaxdc.methods import DataSpec
from jaxdc.methods.base import Optimizer, Stage
from jaxdc.nn import Backbone
from jaxdc.train import steps
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import abstract_state

SETTINGS = ("target", "method", "network", "width", "image_size", "batch", "dtype", "samples")
SMALL = 1_000_000  # bytes below which launching a kernel takes longer than what it moves
H100 = Path(__file__).with_name("_h100.txtpb")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugin", type=Path, required=True, help="folder with the plugin: CUDA's, or libtpu")
    parser.add_argument("--target", default="h100", help="h100, or a topology of TPUs, such as v5e:4x2")
    add_step_options(parser)
    parser.add_argument("--longest", type=int, default=0, help="also print the kernels that move the most")
    parser.add_argument("--hlo", type=Path, help="write the optimised HLO")
    parser.add_argument("--name", default="simclr", help="of these figures in the JSON file")
    parser.add_argument("--output", type=Path, help="write the figures as JSON, beside those of other names")
    return parser.parse_args()


def use_plugin(folder: Path, target: str):
    """Lets jax find the plugin, and its compiler the tools of CUDA; before the first use of a device."""
    sys.path.append(str(folder))
    if target == "h100":
        flags = f"--xla_gpu_cuda_data_dir={folder.absolute() / 'nvidia' / 'cu13'} --xla_gpu_autotune_level=0"
        os.environ["XLA_FLAGS"] = f"{flags} {os.environ.get('XLA_FLAGS', '')}"
    jax.config.update("jax_platforms", "cpu")


def devices_of(target: str) -> list[Any]:
    """Devices that are not there, to compile for."""
    if target != "h100":
        return topologies.get_topology_desc(target, "tpu").devices
    return topologies.get_topology_desc("", "cuda", target_config=H100.read_text(), topology="1x1x1").devices


def compiled_step(arguments: argparse.Namespace) -> jax.stages.Compiled:
    """The loop's own step, of a method on resident data."""
    mesh = sharding.make_mesh(devices_of(arguments.target))
    side, n = arguments.image_size, arguments.samples
    backbone = Backbone(
        depth=int(arguments.network.removeprefix("resnet")), width=arguments.width, dtype=arguments.dtype
    )
    method = METHODS[arguments.method](n_clusters=10, backbone=backbone)
    sgd = Optimizer(name="sgd", learning_rate=0.01, weight_decay=1e-4, cosine=True)
    tx = make_optimizer(Stage(method=method, steps=100_000, batch_size=arguments.batch, optimizer=sgd), n)
    graphdef, state = abstract_state(method, tx, DataSpec((side, side, 3), n), mesh)
    run = steps.make_resident_steps(method, graphdef, tx, mesh, arguments.batch, looped=True)
    on_all = sharding.replicated(mesh)
    x = jax.ShapeDtypeStruct((n, side, side, 3), jnp.uint8, sharding=on_all)
    order = jax.ShapeDtypeStruct((n,), jnp.int32, sharding=on_all)
    return run.lower(state, x, order, np.int32(0)).compile()


def traffic(hlo: str, title: str, longest: int, console: Console) -> dict[str, Any]:
    """Prints and returns what the kernels of a step move."""
    kernels = kernels_of(hlo)
    kinds = {kind: {"kernels": n, "gigabytes": moved / 1e9} for kind, (n, moved) in by_kind(kernels).items()}
    small, gigabytes = sum(kernel.bytes < SMALL for kernel in kernels), sum(k.bytes for k in kernels) / 1e9
    table = Table("kind", "kernels", "GB a step", title=title)
    for kind, row in kinds.items():
        table.add_row(kind, str(row["kernels"]), f"{row['gigabytes']:.2f}")
    table.add_row("all", str(len(kernels)), f"{gigabytes:.2f}")
    console.print(table)
    waits = waits_for_host(hlo)
    console.print(
        f"{small} kernels move less than 1 MB; the loop {'waits' if waits else 'does not wait'} for the host"
    )
    for kernel in sorted(kernels, key=lambda kernel: -kernel.bytes)[:longest]:
        console.print(f"{kernel.bytes / 1e6:8.1f} MB  {kernel.name}  {kernel.source[-80:]}")
    counts = {"kernels": len(kernels), "small_kernels": small, "gigabytes": gigabytes}
    return {**counts, "waits_for_host": waits, "kinds": kinds}


def exchanges(hlo: str, title: str, console: Console) -> dict[str, Any]:
    """Prints and returns what the devices exchange in a step."""
    found = {kind: {"number": n, "megabytes": moved / 1e6} for kind, (n, moved) in collectives_of(hlo).items()}
    table = Table("exchange", "number", "MB", title=title)
    for kind, row in found.items():
        table.add_row(kind, str(row["number"]), f"{row['megabytes']:.2f}")
    console.print(table)
    return {"exchanges": found}


def main():
    arguments = parse()
    flags = os.environ.get("XLA_FLAGS", "")
    use_plugin(arguments.plugin, arguments.target)
    began = time.perf_counter()
    compiled = compiled_step(arguments)
    seconds, hlo, memory = time.perf_counter() - began, str(compiled.as_text()), compiled.memory_analysis()
    if arguments.hlo:
        arguments.hlo.write_text(hlo)
    figures = {
        "settings": {name: str(getattr(arguments, name)) for name in SETTINGS},
        "xla_flags": flags,
        "jax": jax.__version__,
        "state_and_data_gigabytes": memory.argument_size_in_bytes / 1e9,
        "temporaries_gigabytes": memory.temp_size_in_bytes / 1e9,
    }
    title = (
        f"{arguments.method}, {arguments.network}, {arguments.image_size} pixels, batch {arguments.batch}, "
        f"{arguments.dtype}; {arguments.target}, jax {jax.__version__}; compiled in {seconds:.0f} s"
    )
    console = Console(width=140)
    if arguments.target == "h100":
        figures |= traffic(hlo, title, arguments.longest, console)
    else:
        figures |= exchanges(hlo, title, console)
    console.print(
        f"on a device: state and data {figures['state_and_data_gigabytes']:.2f} GB, temporaries "
        f"{figures['temporaries_gigabytes']:.2f} GB"
    )
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        before = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
        arguments.output.write_text(json.dumps({**before, arguments.name: figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Kernels of a training step, and the bytes that they move, as XLA compiles it for an H100: no GPU is needed.

    pip install --target DIR --no-deps jax-cuda13-plugin==V jax-cuda13-pjrt==V nvidia-cublas nvidia-cuda-cupti \
        nvidia-cuda-nvcc nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cusolver \
        nvidia-cusparse nvidia-nvjitlink nvidia-nvvm          # V: the version of jax; 3.2 GB
    python benchmarks/compiled_step.py --plugin DIR           # SimCLR, ResNet-18, 32 pixels, batch 512, bfloat16

The compiler gets a description of the chip, ``_h100.txtpb``. It can't try kernels on a device that isn't there, so
autotuning is off: this counts kernels and bytes, and says nothing of seconds; ``profile_step.py`` measures those.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from _hlo_traffic import by_kind, kernels_of, waits_for_host
from jax.experimental import topologies
from rich.console import Console
from rich.table import Table

from jaxdc.distributed import sharding
from jaxdc.methods import CC, IDFD, DataSpec, MoCo, SimCLR
from jaxdc.methods.base import Optimizer, Stage
from jaxdc.nn import Backbone
from jaxdc.train import steps
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import abstract_state

METHODS = {"simclr": SimCLR, "cc": CC, "idfd": IDFD, "moco": MoCo}
SETTINGS = ("method", "network", "width", "image_size", "batch", "dtype", "samples")
SMALL = 1_000_000  # bytes below which launching a kernel takes longer than what it moves
TARGET = Path(__file__).with_name("_h100.txtpb")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugin", type=Path, required=True, help="folder with the CUDA plugin of this jax")
    parser.add_argument("--method", choices=METHODS, default="simclr")
    parser.add_argument("--network", choices=[f"resnet{depth}" for depth in (10, 18, 34, 50)], default="resnet18")
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--longest", type=int, default=0, help="also print the kernels that move the most")
    parser.add_argument("--hlo", type=Path, help="write the optimised HLO")
    parser.add_argument("--name", default="simclr", help="of these figures in the JSON file")
    parser.add_argument("--output", type=Path, help="write the figures as JSON, beside those of other names")
    return parser.parse_args()


def use_plugin(folder: Path):
    """Lets jax find the plugin, and its compiler the tools of CUDA; before the first use of a device."""
    sys.path.append(str(folder))
    flags = f"--xla_gpu_cuda_data_dir={folder.absolute() / 'nvidia' / 'cu13'} --xla_gpu_autotune_level=0"
    os.environ["XLA_FLAGS"] = f"{flags} {os.environ.get('XLA_FLAGS', '')}"
    jax.config.update("jax_platforms", "cpu")


def compiled_for_h100(arguments) -> jax.stages.Compiled:
    """The loop's own step, of a method on resident data."""
    topology = topologies.get_topology_desc("", "cuda", target_config=TARGET.read_text(), topology="1x1x1")
    mesh, side, n = sharding.make_mesh(topology.devices), arguments.image_size, arguments.samples
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


def main():
    arguments = parse()
    use_plugin(arguments.plugin)
    began = time.perf_counter()
    compiled = compiled_for_h100(arguments)
    seconds, hlo, memory = time.perf_counter() - began, compiled.as_text(), compiled.memory_analysis()
    if arguments.hlo:
        arguments.hlo.write_text(hlo)
    kernels = kernels_of(hlo)
    figures = {
        "settings": {name: str(value) for name, value in vars(arguments).items() if name in SETTINGS},
        "xla_flags": os.environ["XLA_FLAGS"].partition("--xla_gpu_autotune_level=0")[2].strip(),
        "target": "NVIDIA H100 80GB HBM3",
        "jax": jax.__version__,
        "kernels": len(kernels),
        "small_kernels": sum(kernel.bytes < SMALL for kernel in kernels),
        "gigabytes": sum(kernel.bytes for kernel in kernels) / 1e9,
        "temporaries_gigabytes": memory.temp_size_in_bytes / 1e9,
        "waits_for_host": waits_for_host(hlo),
        "kinds": {kind: {"kernels": n, "gigabytes": moved / 1e9} for kind, (n, moved) in by_kind(kernels).items()},
    }
    title = (
        f"{arguments.method}, {arguments.network}, {arguments.image_size} pixels, batch {arguments.batch}, "
        f"{arguments.dtype}; H100, jax {jax.__version__}; compiled in {seconds:.0f} s"
    )
    table = Table("kind", "kernels", "GB a step", title=title)
    for kind, row in figures["kinds"].items():
        table.add_row(kind, str(row["kernels"]), f"{row['gigabytes']:.2f}")
    table.add_row("all", str(figures["kernels"]), f"{figures['gigabytes']:.2f}")
    console = Console(width=120)
    console.print(table)
    waits = "waits for the host at every step" if figures["waits_for_host"] else "does not wait for the host"
    console.print(
        f"{figures['small_kernels']} kernels move less than 1 MB; temporaries take "
        f"{figures['temporaries_gigabytes']:.2f} GB; the loop {waits}"
    )
    for kernel in sorted(kernels, key=lambda kernel: -kernel.bytes)[: arguments.longest]:
        console.print(f"{kernel.bytes / 1e6:8.1f} MB  {kernel.name}  {kernel.source[-80:]}")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        before = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
        arguments.output.write_text(json.dumps({**before, arguments.name: figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Images a second in training: SimCLR, CC, IDFD and MoCo, against PyTorch in the same run.

    python benchmarks/train_throughput.py --network resnet18 --image-size 32 --batch 512
    python benchmarks/train_throughput.py --network resnet50 --image-size 224 --batch 64 --methods simclr
    python benchmarks/train_throughput.py --width 16 --batch 64 --dtype float32        # on a CPU

``--peer PYTHON`` names the Python of an environment with torch (``pip install torch==2.13.0``), ``--peer torch``
this one; ``--compile`` adds a second peer under ``torch.compile``. Ours is the library's own step on uint8 noise
that is on the device, augmentation included; all devices train, and a peer is compared on one device alone.

Every training is a process of its own. They warm up, compute the loss of one batch from the same weights, which
must agree, and then take turns; a time is the median of the turns, compilation not counted. An image counts once,
however many views of it are made. FLOP/s are those of the model: the convolutions, counted from their shapes,
forward and backward; "share" is of a large square matrix product in the same dtype, measured in the same run.
"Augmentation" is the same views made by a program of their own. "Waits" is the share of wall time in which the
loop waited for batches from the host: 0 by construction where the data are resident. "CPU ms" are what a step
took of the host's processors: the fairer time where these train and other programs want them too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from _worker import Worker, WorkerDied
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
METHODS = ("simclr", "cc", "idfd", "moco")
AGREEMENT = {"float32": 1e-4, "bfloat16": 3e-2}  # of the two losses, relative
RESIDENT_BYTES = 2**29


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--network", choices=[f"resnet{depth}" for depth in (10, 18, 34, 50)], default="resnet18")
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--samples", type=int, help="images of the set; by default 50,000 or what 512 MiB hold")
    parser.add_argument("--steps", type=int, help="steps of a turn; by default 3 on a CPU and 50 elsewhere")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--input", choices=("resident", "stream"), default="resident")
    parser.add_argument("--peer", help="Python of an environment with torch; 'torch' is this one")
    parser.add_argument("--compile", action="store_true", help="a second peer, under torch.compile")
    parser.add_argument("--profile", help="folder for a trace of one more turn of ours")
    parser.add_argument("--output", type=Path, help="write the figures as JSON, after each method")
    return parser.parse_args()


def settings_of(method, arguments):
    """What a worker is told: the same for ours and the peer."""
    side = arguments.image_size
    return {
        "method": method,
        "depth": int(arguments.network.removeprefix("resnet")),
        "stem": "cifar" if side <= 64 else "stl" if side <= 128 else "imagenet",
        "width": arguments.width,
        "side": side,
        "batch": arguments.batch,
        "dtype": arguments.dtype,
        "samples": arguments.samples or max(min(50_000, RESIDENT_BYTES // (3 * side**2)), arguments.batch),
        "learning_rate": 0.01,
        "decay": 1e-4,
        "streamed": arguments.input == "stream",
    }


def measure(method, arguments):
    """All figures of one method: those of ours, and of each peer."""
    settings = settings_of(method, arguments)
    with contextlib.ExitStack() as stack:

        def start(name, python, file, **more):
            return stack.enter_context(Worker(name, [python, HERE / file], settings | more))

        workers = {"jaxdc": start("jaxdc", sys.executable, "_jaxdc_training.py")}
        python = sys.executable if arguments.peer == "torch" else arguments.peer
        for name, compiled in (("eager", False), ("compiled", True))[: 1 + arguments.compile] if python else ():
            workers[name] = start(f"torch, {name}", python, "_torch_train_peer.py", compiled=compiled)
        about = {name: worker.ask("about") for name, worker in workers.items()}
        ours, others = workers["jaxdc"], [name for name in workers if name != "jaxdc"]
        if others and about["jaxdc"]["devices"] > 1:
            raise SystemExit("a peer trains on one device: let one be seen (CUDA_VISIBLE_DEVICES=0)")
        on_cpu = about["jaxdc"]["platform"] == "cpu"
        n = arguments.steps or (3 if on_cpu else 50)

        first = {name: worker.ask("train", 2)["seconds"] for name, worker in workers.items()}
        losses = compare_losses(workers, arguments.dtype, min(arguments.batch, 64))
        if not on_cpu:  # the program of many steps is the same, but a clock settles
            for worker in workers.values():
                worker.ask("train", n)
        rates = [ours.ask("matrix_rate")]
        rounds = range(arguments.rounds)
        turns = [{name: worker.ask("train", n) for name, worker in workers.items()} for _ in rounds]
        rates.append(ours.ask("matrix_rate"))
        if arguments.profile:
            ours.ask("profile", arguments.profile, n)

        figures = {"settings": settings, "steps": n, "matrix_rate": statistics.mean(rates), "losses": losses}
        for name, worker in workers.items():
            seconds = [turn[name]["seconds"] / n for turn in turns]
            figures[name] = {
                "about": about[name],
                "seconds_per_step": statistics.median(seconds),
                "seconds_per_step_of_turns": seconds,
                "processor_seconds_per_step": statistics.median(turn[name]["processor"] / n for turn in turns),
                "first_two_steps_seconds": first[name],
                "augmentation_seconds": worker.ask("augmentation", 5 if on_cpu else 50),
                "peak_memory": worker.ask("peak_memory"),
            }
        waited = sum(turn["jaxdc"]["waited"] for turn in turns) / sum(turn["jaxdc"]["seconds"] for turn in turns)
        figures["jaxdc"]["input_wait_share"] = waited
    return figures


def compare_losses(workers, dtype, n):
    """Losses of one batch from equal weights, without augmentation."""
    if len(workers) == 1:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/state.npz"
        losses = {"jaxdc": workers["jaxdc"].ask("loss_of_saved", path, n)}
        for name in [name for name in workers if name != "jaxdc"]:
            losses[name] = workers[name].ask("loss_of_saved", path)
            if not abs(losses[name] / losses["jaxdc"] - 1) < AGREEMENT[dtype]:
                raise SystemExit(f"the peer computes something else: losses {losses}")
    return losses


def print_table(results, arguments, console):
    figures = next(iter(results.values()))
    about, settings = figures["jaxdc"]["about"], figures["settings"]
    peer = next((figures[name]["about"] for name in ("eager",) if name in figures), None)
    console.print(
        f"{arguments.network}, width {settings['width']}, {settings['side']} pixels, {settings['stem']} stem, "
        f"batch {settings['batch']}, {settings['dtype']}, {settings['samples']:,} images, {arguments.input}; "
        f"{about['devices']} x {about['device']}, {about['cores']} cores; jax {about['jax']}"
        + (f", torch {peer['torch']} on {peer['device']}" if peer else "")
        + f"; medians of {arguments.rounds} turns of {figures['steps']} steps"
    )
    headings = (
        "images/s",
        "ms a step",
        "CPU ms",
        "TFLOP/s",
        "share",
        "augmentation",
        "waits",
        "GiB",
        "its / ours",
    )
    table = Table("method", "by", *headings)
    for method, figures in results.items():
        ours = figures["jaxdc"]
        for name in [name for name in ("jaxdc", "eager", "compiled") if name in figures]:
            row, seconds = figures[name], figures[name]["seconds_per_step"]
            rate = ours["about"]["operations_per_step"] / seconds
            n_bytes = row["peak_memory"]["bytes"]
            table.add_row(
                method if name == "jaxdc" else "",
                name if name == "jaxdc" else f"torch, {name}",
                f"{settings['batch'] / seconds:,.0f}",
                f"{seconds * 1e3:,.1f}",
                f"{row['processor_seconds_per_step'] * 1e3:,.1f}",
                f"{rate / 1e12:,.3f}",
                f"{rate / figures['matrix_rate']:.0%}",
                f"{row['augmentation_seconds'] / seconds:.1%}",
                f"{row['input_wait_share']:.1%}" if "input_wait_share" in row else "",
                f"{n_bytes / 2**30:.2f}" if n_bytes else "-",
                "" if name == "jaxdc" else f"{seconds / ours['seconds_per_step']:.2f}x",
            )
    console.print(table)
    rates = ", ".join(f"{figures['matrix_rate'] / 1e12:,.3f}" for figures in results.values())
    console.print(f"matrix product, TFLOP/s: {rates}; memory by: {ours['peak_memory']['source']}")


def main():
    arguments = parse()
    # The peer shares the GPU: jaxdc's worker takes memory as it needs it.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    console, results = Console(width=120), {}
    for method in arguments.methods:
        try:
            results[method] = measure(method, arguments)
        except WorkerDied as error:
            console.print(f"[red]{method}: {error}")
            continue
        if arguments.output:
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    if not results:
        raise SystemExit(1)
    print_table(results, arguments, console)


if __name__ == "__main__":
    main()

"""DEC against ClustPy's: the same network, data, batch and epochs, in one run on one machine.

    python -m venv peer
    peer/bin/pip install clustpy==0.0.3
    peer/bin/pip uninstall -y torch torchvision && peer/bin/pip install --no-deps torch==2.13.0
    python benchmarks/dec_vs_clustpy.py --peer peer/bin/python --data fashion_mnist --data-dir DIR
    python benchmarks/dec_vs_clustpy.py --peer peer/bin/python --data 20newsgroups.jsonl.gz \
        --pretrain-epochs 20 --cluster-epochs 20

Both train D-500-500-2000-10 (ReLU, Adam 1e-3, batch 256) on the same matrix: some epochs of reconstruction, by
default 5, then k-means with n_init 20 for the centroids, then as many of clustering. The seconds are wall time
and hold everything but the making of the matrix: input, compilation, k-means. What is not the same: ClustPy
computes p for each mini-batch, ours for the whole set every 140 steps, which is a row of its own. Without
--peer only our half runs. The share of the matrix rate counts the multiplications of the dense layers, forward
and backward, against a product of two 2048 x 2048 matrices on the same machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Table

from jaxdc import metrics
from jaxdc.data import open_source
from jaxdc.distributed import sharding
from jaxdc.methods import AE, DEC, DataSpec
from jaxdc.methods.base import Experiment, Optimizer, Stage
from jaxdc.runs.progress import Reporter
from jaxdc.train.loop import Trainer
from jaxdc.train.steps import as_float

BATCH = 256
WIDTHS = (500, 500, 2000, 10)
REFRESH_STEPS = 140


class Stopwatch(Reporter):
    """Wall time of each stage and of its refreshes."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.begun, self.ended, self.refreshes = {}, {}, []

    def stage_begins(self, i, step):
        self.begun[i] = time.perf_counter()

    def stage_ends(self, i, step):
        self.ended[i] = time.perf_counter()

    def refresh_took(self, i, seconds):
        self.refreshes.append(seconds)


def ours(source, k, pretrain_epochs, cluster_epochs, seed):
    adam = Optimizer(name="adam", learning_rate=1e-3)
    stages = (
        Stage(method=AE(n_clusters=k), epochs=pretrain_epochs, batch_size=BATCH, optimizer=adam),
        Stage(
            method=DEC(n_clusters=k, tolerance=0.0, refresh_steps=REFRESH_STEPS),
            epochs=cluster_epochs,
            batch_size=BATCH,
            optimizer=adam,
        ),
    )
    experiment, spec = Experiment(stages), DataSpec(source.shape, source.n_samples, source.rms())
    watch = Stopwatch(experiment, spec)
    start = time.perf_counter()
    trained = Trainer(experiment, source, spec, seed=seed, mesh=sharding.make_mesh(), observer=watch).run()
    whole = time.perf_counter() - start
    first, *others = watch.refreshes
    seconds = {
        "pretraining": watch.ended[0] - watch.begun[0],
        "k-means": first,
        "clustering": watch.ended[1] - watch.begun[1] - sum(watch.refreshes),
        "refresh of p": sum(others),
        "whole run": whole,
    }
    return seconds, trained.probabilities.argmax(axis=1)


def bare_loop(x, n_steps):
    """Images/s of the pre-training in nothing but JAX and optax: what a loop can reach here."""
    widths = (x[0].size, *WIDTHS)
    widths = (*widths, *widths[-2::-1])
    keys = jax.random.split(jax.random.key(0), len(widths))
    params = [
        (jax.random.normal(k, (a, b)) * (2 / a) ** 0.5, jnp.zeros(b))
        for k, a, b in zip(keys, widths[:-1], widths[1:], strict=False)
    ]
    optimizer = optax.adam(1e-3)

    def forward(params, x):
        for i, (weight, bias) in enumerate(params):
            x = x @ weight + bias
            x = x if i in (3, 7) else jax.nn.relu(x)
        return x

    def step(params, state, batch):
        batch = as_float(batch.reshape(BATCH, -1))
        gradient = jax.grad(lambda p: jnp.mean((forward(p, batch) - batch) ** 2))(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step, donate_argnums=(0, 1))
    state = optimizer.init(params)
    batches = [jnp.asarray(x[i * BATCH : (i + 1) * BATCH]) for i in range(min(20, len(x) // BATCH))]
    params, state = step(params, state, batches[0])
    jax.block_until_ready(params)
    start = time.perf_counter()
    for i in range(n_steps):
        params, state = step(params, state, batches[i % len(batches)])
    jax.block_until_ready(params)
    return n_steps * BATCH / (time.perf_counter() - start)


def matrix_rate(size=2048, n=20):
    """Floating-point operations a second of a plain matrix product."""
    a = jnp.ones((size, size))
    product = jax.jit(lambda a: a @ a)
    jax.block_until_ready(product(a))
    start = time.perf_counter()
    for _ in range(n):
        out = product(a)
    jax.block_until_ready(out)
    return n * 2 * size**3 / (time.perf_counter() - start)


def operations(n_inputs):
    """Floating-point operations a sample: of a step with decoder, of one without, of a forward pass."""
    widths = (n_inputs, *WIDTHS)
    encoder = sum(a * b for a, b in itertools.pairwise(widths))
    unneeded = n_inputs * WIDTHS[0]  # nobody asks for the gradient of the input
    return 2 * (3 * 2 * encoder - unneeded), 2 * (3 * encoder - unneeded), 2 * encoder


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="fashion_mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--peer", help="Python of an environment with ClustPy and torch")
    parser.add_argument("--pretrain-epochs", type=int, default=5)
    parser.add_argument("--cluster-epochs", type=int, default=5)
    parser.add_argument("--n-clusters", type=int, help="by default as many as there are classes")
    parser.add_argument("--bare-steps", type=int, default=300, help="of the bare loop, before and after")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    epochs = (arguments.pretrain_epochs, arguments.cluster_epochs)
    source = open_source(arguments.data, data_dir=arguments.data_dir)
    assert source.array is not None
    k = arguments.n_clusters or len(np.unique(source.labels))

    rates = [matrix_rate()]
    bare = [bare_loop(source.array, arguments.bare_steps)]
    seconds, labels = ours(source, k, *epochs, arguments.seed)
    bare.append(bare_loop(source.array, arguments.bare_steps))
    peer_seconds, peer_labels = {}, None
    if arguments.peer:
        with tempfile.TemporaryDirectory() as folder:
            # Ours divides by the root mean square itself, as DEC's protocol of texts does; pixels the peer scales.
            x = source.array if source.array.dtype == np.uint8 else source.array / source.rms()
            np.savez(Path(folder) / "data.npz", x=x)
            peer_file = Path(__file__).with_name("_clustpy_peer.py")
            command = [arguments.peer, peer_file, f"{folder}/data.npz", *map(str, (k, *epochs, arguments.seed))]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout.splitlines()[-1])
        peer_seconds, peer_labels = answer["seconds"], np.array(answer["labels"])
    rates.append(matrix_rate())

    n_samples = source.n_samples // BATCH * BATCH
    with_decoder, without, forward = operations(source.array[0].size)
    n_refreshes = (source.n_samples // BATCH * epochs[1] - 1) // REFRESH_STEPS
    work = {
        "pretraining": with_decoder * n_samples * epochs[0],
        "clustering": without * n_samples * epochs[1],
        "refresh of p": forward * source.n_samples * n_refreshes,
    }
    rate = float(np.mean(rates))
    table = Table("phase", "ours, s", "ClustPy, s", "ratio", "ours, share of matrix rate")
    for phase, value in seconds.items():
        other = peer_seconds.get(phase)
        share = f"{work[phase] / value / rate:.0%}" if phase in work and value else ""
        table.add_row(
            phase,
            f"{value:.1f}",
            f"{other:.1f}" if other else "-",
            f"{other / value:.2f}x" if other and value else "",
            share,
        )
    pretraining_rate = n_samples * epochs[0] / seconds["pretraining"]
    bare_rate = float(np.mean(bare))
    table.add_row("ACC", _acc(source, labels), _acc(source, peer_labels), "", "")
    console = Console()
    console.print(table)
    console.print(
        f"pre-training {pretraining_rate:,.0f} images/s, compilation included: "
        f"{pretraining_rate / bare_rate:.0%} of a bare jitted loop ({bare_rate:,.0f}); "
        f"matrix product {rate / 1e9:,.0f} GFLOP/s; {os.cpu_count()} cores, jax {jax.__version__}"
    )
    if arguments.output:
        figures = {
            "data": Path(source.name).name,
            "n_clusters": k,
            "epochs": epochs,
            "seed": arguments.seed,
            "ours_seconds": seconds,
            "clustpy_seconds": peer_seconds,
            "ours_acc": _acc(source, labels),
            "clustpy_acc": _acc(source, peer_labels),
            "pretraining_images_per_second": pretraining_rate,
            "bare_loop_images_per_second": bare,
            "matrix_flops_per_second": rates,
            "cores": os.cpu_count(),
            "jax": jax.__version__,
        }
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


def _acc(source, labels):
    if labels is None or source.labels is None:
        return "-"
    return f"{metrics.clustering_accuracy_score(source.labels, labels):.4f}"


if __name__ == "__main__":
    main()

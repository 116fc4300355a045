"""k-means and exact neighbours against scikit-learn and faiss, in one run on one machine.

    pip install faiss-cpu                                    # a peer that may be absent
    python benchmarks/clustering.py --data fashion_mnist --data-dir DIR
    python benchmarks/clustering.py --data pixels.npz        # without TensorFlow

k-means: the time is that of equal work, all runs to exactly --iterations Lloyd iterations from the
same start (random samples, each its own, for n_init 10), scikit-learn's Lloyd in all its threads. The
inertia is that of these runs, and for n_init 10 that of runs that converge. The second set is a Gaussian mixture,
50,000 x 128, k = 1,000. Neighbours: 20 of each of 50,000 x 128 by inner product, against faiss's
exact flat index. Compilation is apart from the times; ours and the peer take turns. On a GPU the same
command runs ours there and the peers on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxdc.cluster import k_means, nearest_neighbors
from jaxdc.data import open_source

try:
    import faiss
except ImportError:
    faiss = None
try:
    from sklearn.cluster import KMeans
except ImportError:
    KMeans = None


def taking_turns(ours, peer, repeats):
    """Median seconds of both and the first call's seconds of ours, compilation and all."""
    start = time.perf_counter()
    jax.block_until_ready(ours())
    first = time.perf_counter() - start
    seconds = {"ours": [], "peer": []}
    for _ in range(repeats):
        for name, function in (("ours", ours), ("peer", peer)):
            if function is not None:
                start = time.perf_counter()
                jax.block_until_ready(function())
                seconds[name].append(time.perf_counter() - start)
    return {
        "ours_seconds": statistics.median(seconds["ours"]),
        "peer_seconds": statistics.median(seconds["peer"]) if peer else None,
        "first_call_seconds": first,
        "all_seconds": seconds,
    }


def lloyd(x, n_clusters, n_iterations, repeats, start):
    """Equal iterations from equal centroids."""
    on_device, key = jnp.asarray(x), jax.random.key(0)

    def ours():
        return k_means(key, on_device, n_clusters, init=start, n_iterations=n_iterations, tolerance=0.0)

    def peer():
        return KMeans(n_clusters, init=start, n_init=1, max_iter=n_iterations, tol=0.0).fit(x).inertia_

    figures = taking_turns(ours, peer if KMeans else None, repeats)
    inertia = float(ours().inertia)
    return figures | {"ours_inertia": inertia, "peer_inertia": peer() if KMeans else None}


def ten_runs(x, n_clusters, n_iterations, repeats):
    """n_init 10 from random samples, at equal iterations; the seeding of scikit-learn would hide them."""
    on_device, key = jnp.asarray(x), jax.random.key(0)

    def ours():
        return k_means(
            key, on_device, n_clusters, n_init=10, n_iterations=n_iterations, tolerance=0.0, init="random"
        )

    def peer():
        options = {"n_init": 10, "init": "random", "max_iter": n_iterations, "tol": 0.0, "random_state": 0}
        return KMeans(n_clusters, **options).fit(x).inertia_

    figures = taking_turns(ours, peer if KMeans else None, repeats)
    # What a user gets: runs until they converge.
    figures["ours_inertia"] = float(k_means(key, on_device, n_clusters, n_init=10, n_iterations=300).inertia)
    peer_options = {"n_init": 10, "init": "random", "random_state": 0}
    figures["peer_inertia"] = KMeans(n_clusters, **peer_options).fit(x).inertia_ if KMeans else None
    return figures


def neighbors(x, k, repeats):
    on_device = jnp.asarray(x)

    def ours():
        return nearest_neighbors(on_device, k)

    def peer():
        index = faiss.IndexFlatIP(x.shape[1])
        index.add(x)
        return index.search(x, k)

    figures = taking_turns(ours, peer if faiss else None, repeats)
    if faiss:
        figures["same_neighbors"] = float(np.mean(np.asarray(ours().indices) == peer()[1]))
    return figures


def mixture(n, d, n_centers, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(n_centers, d))
    return (centers[rng.integers(n_centers, size=n)] + 0.5 * rng.normal(size=(n, d))).astype(np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="fashion_mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--n-samples", type=int, default=50_000, help="samples (not for pixels)")
    parser.add_argument("--only", nargs="*", choices=("pixels", "mixture", "neighbors"))
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    only = arguments.only or ("pixels", "mixture", "neighbors")
    results = {}
    if "pixels" in only:
        source = open_source(arguments.data, data_dir=arguments.data_dir)
        assert source.array is not None
        x = source.array.reshape(source.n_samples, -1).astype(np.float32)
        name = f"{source.name} {len(x):,} x {x.shape[1]}, k 10"
        start = x[np.random.default_rng(0).choice(len(x), 10, replace=False)]
        results[f"k-means, {name}"] = lloyd(x, 10, arguments.iterations, arguments.repeats, start)
        results[f"k-means, {name}, n_init 10"] = ten_runs(x, 10, arguments.iterations, arguments.repeats)
    n, k = arguments.n_samples, arguments.n_samples // 50
    x = mixture(n, 128, 2 * k)
    if "mixture" in only:
        start = x[np.random.default_rng(0).choice(n, k, replace=False)]
        figures = lloyd(x, k, arguments.iterations, arguments.repeats, start)
        results[f"k-means, {n:,} x 128, k {k:,}"] = figures
    if "neighbors" in only:
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        results[f"neighbours, {n:,} x 128, k 20"] = neighbors(unit, 20, arguments.repeats)

    table = Table("task", "ours, s", "peer, s", "ours / peer", "inertia, ours / peer", "first call, s")
    for task, figures in results.items():
        ours, peer = figures["ours_seconds"], figures["peer_seconds"]
        inertia = figures["ours_inertia"] / figures["peer_inertia"] if figures.get("peer_inertia") else None
        table.add_row(
            task,
            f"{ours:.2f}",
            f"{peer:.2f}" if peer else "-",
            f"{ours / peer:.2f}x" if peer else "-",
            f"{inertia:.4f}" if inertia else "-",
            f"{figures['first_call_seconds']:.1f}",
        )
    device = jax.devices()[0].device_kind
    console = Console()
    console.print(table)
    console.print(
        f"medians of {arguments.repeats} turns, {arguments.iterations} Lloyd iterations a run; ours on {device}, "
        f"peers (scikit-learn, faiss-cpu) on {os.cpu_count()} {platform.machine()} cores; jax {jax.__version__}"
    )
    if arguments.output:
        figures = {
            "device": device,
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "jax": jax.__version__,
            "iterations": arguments.iterations,
            "repeats": arguments.repeats,
            "results": results,
        }
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

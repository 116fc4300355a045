"""The worker that trains by jaxdc's own compiled steps; ``train_throughput.py`` starts it."""

from __future__ import annotations

import dataclasses
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
from _operations import step_operations
from _step_options import METHODS
from _worker import serve
from flax import nnx

from jaxdc import augment
from jaxdc.data import ArraySource
from jaxdc.distributed import sharding
from jaxdc.methods import DataSpec
from jaxdc.methods.base import Optimizer, Stage
from jaxdc.nn import Backbone
from jaxdc.train import steps
from jaxdc.train.inputs import make_input
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import init_state, merge

PLAIN = augment.Weak(crop=(1.0, 1.0), ratio=(1.0, 1.0), flip=False, jitter=(0, 0, 0, 0), greyscale_probability=0)


class StreamedArray(ArraySource):
    """An array that pretends not to fit: it streams, and counts the seconds that its batches took."""

    def __init__(self, x):
        super().__init__(x)
        self.array, self.waited = None, 0.0

    def batches(self, batch_size, **order):
        ready = super().batches(batch_size, **order)
        while True:
            start = time.perf_counter()
            batch = next(ready, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch


class Training:
    """A method in training on noise, with the loop's own input and step."""

    def __init__(self, *, method, depth, stem, width, side, batch, dtype, samples, streamed, learning_rate, decay):
        self.name, self.dtype, self.batch = method, dtype, batch
        backbone = Backbone(depth=depth, stem=stem, width=width, dtype=dtype)
        self.method = METHODS[method](n_clusters=10, backbone=backbone)
        self.operations = batch * step_operations(method, depth, side, stem=stem, width=width)
        images = np.random.default_rng(0).integers(0, 256, (samples, side, side, 3), dtype=np.uint8)
        self.source = StreamedArray(images) if streamed else ArraySource(images)
        self.mesh = sharding.make_mesh()
        sharding.check_batch_size(batch, self.mesh)
        sgd = Optimizer(name="sgd", learning_rate=learning_rate, weight_decay=decay, cosine=True)
        stage = Stage(method=self.method, steps=100_000, batch_size=batch, optimizer=sgd)
        self.tx = make_optimizer(stage, samples)
        spec = DataSpec(self.source.shape, samples)
        self.graphdef, self.state = init_state(self.method, self.tx, jax.random.key(0), spec, self.mesh)
        self.input, self.step = make_input(self.source, self.mesh), 0
        self.input.begin(stage, self.graphdef, self.tx, jax.random.key(1), 0)

    def about(self):
        """What is trained, and where."""
        device = jax.devices()[0]
        return {
            "device": device.device_kind,
            "platform": device.platform,
            "devices": self.mesh.size,
            "cores": os.cpu_count(),
            "jax": jax.__version__,
            "operations_per_step": self.operations,
            "steps_in_one_dispatch": steps.loops_well(self.mesh) and not isinstance(self.source, StreamedArray),
        }

    def train(self, n):
        """Seconds of ``n`` steps: of the wall, of all processors, and of waiting for batches from the host."""
        waited, target = self._waited(), self.step + n
        start, processor = time.perf_counter(), time.process_time()
        while self.step < target:
            self.state, metrics, done = self.input.advance(self.state, self.step, target - self.step)
            self.step += done
        jax.block_until_ready((self.state, metrics))
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
        waited = self._waited() - waited
        return {"seconds": seconds, "processor": processor, "waited": waited, "loss": float(metrics["loss"])}

    def _waited(self):
        return self.source.waited if isinstance(self.source, StreamedArray) else 0.0

    def profile(self, folder, n):
        """Writes a trace of ``n`` steps for TensorBoard or Perfetto."""
        with jax.profiler.trace(folder):
            return self.train(n)

    def augmentation(self, n):
        """Seconds of one step's views alone, gathered from the resident images."""
        place = self.method.augmentation
        views = place if self.name == "idfd" else lambda key, x: augment.two_views(key, x, place)
        by_sample = sharding.by_sample(self.mesh)

        def make(key, x, rows):
            rows = jax.lax.with_sharding_constraint(rows, by_sample)
            return views(key, steps.as_float(x[rows]))

        x = sharding.replicate(self.source._x[: max(self.batch, 1024)], self.mesh)
        make, key = jax.jit(make), jax.random.key(2)
        rows = jnp.arange(self.batch) % len(x)
        return _seconds_each(lambda: make(key, x, rows), n)

    def matrix_rate(self):
        """Operations a second of a square matrix product in this dtype, on all devices together."""
        on_cpu = jax.devices()[0].platform == "cpu"
        size, n = (2048, 10) if on_cpu else (8192, 50)
        a = jax.random.normal(jax.random.key(3), (size, size), self.dtype)
        product = jax.jit(lambda a: a @ a)
        return self.mesh.size * 2 * size**3 / _seconds_each(lambda: product(a), n)

    def peak_memory(self):
        """Bytes of a device at their peak, and who says so."""
        statistics = jax.devices()[0].memory_stats()
        if statistics and "peak_bytes_in_use" in statistics:
            return {"bytes": statistics["peak_bytes_in_use"], "source": "device"}
        step = steps.make_streaming_step(self.method, self.graphdef, self.tx, self.mesh, 1)
        x = jnp.zeros((self.batch, *self.source.shape), jnp.uint8)
        a = step.lower(self.state, x, jnp.arange(self.batch)).compile().memory_analysis()
        n_bytes = a.argument_size_in_bytes + a.temp_size_in_bytes + a.output_size_in_bytes - a.alias_size_in_bytes
        return {"bytes": n_bytes, "source": "compiler, of one step without the data set"}

    def loss_of_saved(self, path, n):
        """The loss of ``n`` images without augmentation; writes them and the state for the peer."""
        method = dataclasses.replace(self.method, augmentation=PLAIN)
        rows = np.random.default_rng(1).permutation(self.source.n_samples)[:n].astype(np.int32)
        batch = {"x": self.source._x[rows].astype(np.float32) / 255, "index": rows}
        aux = self.state.aux
        if "queue" in aux:  # the peer has no queue that is still filling
            keys = jax.random.normal(jax.random.key(5), aux["queue"].shape)
            aux = {
                **aux,
                "queue": keys / jnp.linalg.norm(keys, axis=1, keepdims=True),
                "step": jnp.full_like(aux["step"], len(keys)),
            }

        def loss(state, aux, batch):
            return method.loss(merge(self.graphdef, state), aux, batch, jax.random.key(4))[0]

        arrays = {**batch, **_named("model", nnx.state(merge(self.graphdef, self.state)))}
        for name, value in aux.items():
            arrays |= _named(name, value) if isinstance(value, nnx.State) else {name: value}
        np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})
        return float(jax.jit(loss)(self.state, aux, batch))


def _named(prefix, state):
    flat = nnx.to_flat_state(state)
    return {".".join(map(str, (prefix, *path))): leaf[...] for path, leaf in flat}


def _seconds_each(function, n):
    for _ in range(2):  # compile and warm up
        jax.block_until_ready(function())
    start = time.perf_counter()
    for _ in range(n):
        result = function()
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / n


if __name__ == "__main__":
    serve(Training)

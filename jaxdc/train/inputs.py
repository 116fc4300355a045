"""How samples reach the step: resident on the device or streamed from the host."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from jaxdc.data import Source
from jaxdc.data.sources import own_parts
from jaxdc.distributed import sharding
from jaxdc.methods.base import Method, Stage
from jaxdc.train import steps
from jaxdc.train.embedding import EmbedStreamed, make_embed_resident
from jaxdc.train.memory import EMBED_BLOCK, Estimate, estimate
from jaxdc.train.state import TrainState


class ResidentInput:
    """Keeps the whole data set on every device and shuffles it there.

    Attributes:
      returns_late: whether ``advance`` returns only after most of its work is done.
    """

    def __init__(self, source: Source, mesh: Mesh):
        assert source.array is not None
        self.n_samples, self.mesh = source.n_samples, mesh
        # With one dispatch per step, most steps are done by the time the last one is dispatched.
        self.returns_late = not steps.loops_well(mesh)
        self.x = sharding.replicate(source.array, mesh)

    def begin(
        self,
        stage: Stage,
        graphdef: nnx.GraphDef,
        tx: optax.GradientTransformation,
        key: jax.Array,
        seed: int,
    ) -> None:
        """Prepares for a stage; compiles nothing yet."""
        del seed
        self._steps_per_epoch = stage.steps_per_epoch(self.n_samples)
        batch_size = stage.batch_for(self.n_samples)
        between = stage.refresh_interval(self.n_samples) or self._steps_per_epoch
        together = steps.steps_together(min(between, self._steps_per_epoch))
        self._run = steps.make_resident_steps(stage.method, graphdef, tx, self.mesh, batch_size, together=together)
        self._draw = steps.make_draw(stage.method, self.mesh, self.n_samples)
        self._key, self._epoch = key, -1
        block = self.n_samples if stage.method.embeds_together else EMBED_BLOCK * self.mesh.size
        self._embed = make_embed_resident(stage.method, graphdef, self.mesh, block)

    def compile(self, state: TrainState) -> Estimate | None:
        """Compiles the steps of this stage; returns their memory estimate."""
        like = jax.eval_shape(self._draw, state.aux, self._key, np.int32(0))
        order = jax.ShapeDtypeStruct(like.shape, like.dtype, sharding=sharding.replicated(self.mesh))
        compiled = self._run.compile(state, self.x, order, np.int32(0))
        return estimate(compiled, state, (self.x, order))

    def advance(self, state: TrainState, step: int, n: int) -> tuple[TrainState, dict[str, jax.Array], int]:
        """Takes up to ``n`` steps, starting at ``step``; also returns their number."""
        epoch, first = divmod(step, self._steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self._draw(state.aux, self._key, np.int32(epoch)), epoch
        n = min(n, self._steps_per_epoch - first)
        if n < self._steps_per_epoch - first:  # the epoch goes on: leave no single steps behind
            n -= n % min(self._run.longest, n)
        state, metrics = self._run(state, self.x, self._order, np.int32(first), n)
        return state, metrics, n

    def refreshed(self) -> None:
        """Called after a refresh: redraws the current epoch."""
        self._epoch = -1

    def features(self, state: TrainState) -> jax.Array:
        """Features [n, d] of the whole data set, in index order, sharded (``layout.sharding_of``)."""
        return self._embed(state, self.x)


class StreamingInput:
    """Streams batches from the host; each process reads its own shard."""

    returns_late = True

    def __init__(self, source: Source, mesh: Mesh):
        self.source, self.mesh, self.n_samples = source, mesh, source.n_samples

    def begin(self, stage, graphdef, tx, key, seed):
        """As in ``ResidentInput``."""
        self._steps_per_epoch = stage.steps_per_epoch(self.n_samples)
        # Methods that draw their own epochs read samples by row; for the others the source shuffles.
        draws = type(stage.method).draw is not Method.draw
        self._draw = steps.make_draw(stage.method, self.mesh, self.n_samples) if draws else None
        self._key = key
        self._run = steps.make_streaming_step(stage.method, graphdef, tx, self.mesh, self._steps_per_epoch)
        self._embed = EmbedStreamed(stage.method, graphdef, self.mesh, self.n_samples)
        self._batch_size, self._seed = stage.batch_size, seed
        self._batches: Any = None
        self._next = -1

    def compile(self, state):
        """As in ``ResidentInput``."""
        by_sample, b = sharding.by_sample(self.mesh), self._batch_size
        drawn = (b,)
        if self._draw is not None:
            drawn = (b, *jax.eval_shape(self._draw, state.aux, self._key, np.int32(0)).shape[1:])
        x = jax.ShapeDtypeStruct((*drawn, *self.source.shape), self.source.dtype, sharding=by_sample)
        rows = jax.ShapeDtypeStruct(drawn, np.int32, sharding=by_sample)
        return estimate(self._run.compile(state, x, rows), state, (x, rows))

    def advance(self, state, step, n):
        """As in ``ResidentInput``."""
        epoch, first = divmod(step, self._steps_per_epoch)
        if self._next != step or first == 0:
            self._batches = self._epoch(state, epoch, first)
        n = min(n, self._steps_per_epoch - first)
        totals: dict[str, jax.Array] = {}
        for _ in range(n):
            x, rows = next(self._batches)
            x, rows = sharding.batch_from_local((x, np.asarray(rows, np.int32)), self.mesh)
            state, metrics = self._run(state, x, rows)
            totals = {name: value + totals.get(name, 0.0) for name, value in metrics.items()}
        self._next = step + n
        return state, {name: total / n for name, total in totals.items()}, n

    def _epoch(self, state, epoch, skip):
        """This process's batches of an epoch, from batch ``skip`` on."""
        shard = sharding.shard_of_process()
        local = self._batch_size // shard[1]
        if self._draw is None:
            return self.source.batches(local, seed=self._seed, epoch=epoch, skip=skip, shard=shard)
        order = np.asarray(self._draw(state.aux, self._key, np.int32(epoch)))
        parts = own_parts(order, local, skip=skip, shard=shard)
        if order.ndim == 1:
            return self.source.read(parts)
        pairs = self.source.read(part.reshape(-1) for part in parts)
        return ((x.reshape(local, 2, *x.shape[1:]), rows.reshape(local, 2)) for x, rows in pairs)

    def refreshed(self):
        """As in ``ResidentInput``."""
        if self._draw is not None:
            self._next = -1

    def features(self, state):
        """As in ``ResidentInput``."""
        shard = sharding.shard_of_process()
        local = EMBED_BLOCK * self.mesh.size // shard[1]
        features: jax.Array | None = None
        # Shards may differ in length by one sample, but all processes run the same number of blocks.
        n_blocks = math.ceil(math.ceil(self.n_samples / shard[1]) / local)
        blocks = self.source.blocks(local, shard=shard)
        for _ in range(n_blocks):
            x, index = next(blocks, (np.zeros((0, *self.source.shape), self.source.dtype), np.zeros(0, int)))
            index = np.pad(np.asarray(index, np.int32), (0, local - len(index)), constant_values=-1)
            x = np.pad(x, ((0, local - len(x)), *((0, 0) for _ in x.shape[1:])))
            x, index = sharding.batch_from_local((x, index), self.mesh)
            features = self._embed.begin(state, x) if features is None else features
            features = self._embed.put(features, state, x, index)
        assert features is not None
        return self._embed.finish(features)


Input = ResidentInput | StreamingInput


def make_input(source: Source, mesh: Mesh) -> Input:
    """Resident if the source is an array in memory, else streaming."""
    return ResidentInput(source, mesh) if source.array is not None else StreamingInput(source, mesh)

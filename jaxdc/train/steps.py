"""Compiled functions for training: steps, features, assignments."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from jaxdc.cluster import layout
from jaxdc.distributed import sharding
from jaxdc.losses._global import split_over
from jaxdc.methods.base import Method
from jaxdc.train.labels import labels_on_device
from jaxdc.train.state import TrainState, merge, shardings_of

LARGEST_GATHER = 2**26  # values that a device receives at a time

MOST_TOGETHER = 32  # steps of one dispatch


def as_float(x: jax.Array) -> jax.Array:
    """The input of a method: uint8 images as [0, 1], int32 token ids unchanged, other numbers as float32."""
    if x.dtype == jnp.int32:
        return x
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x.astype(jnp.float32)


def _batch(x: jax.Array, rows: jax.Array) -> dict[str, jax.Array]:
    """The batch for a method, from samples or from pairs ``[b, 2, ...]`` of a sample and its partner."""
    if rows.ndim == 1:
        return {"x": as_float(x), "index": rows}
    pairs = {"index": rows[:, 0], "neighbor_index": rows[:, 1]}
    return {"x": as_float(x[:, 0]), "neighbor": as_float(x[:, 1]), **pairs}


def make_draw(method: Method, mesh: Mesh, n_samples: int) -> Callable[..., jax.Array]:
    """Returns ``(aux, key, epoch) -> rows`` of an epoch, on every device."""

    def draw(aux, key, epoch):
        return method.draw(aux, jax.random.fold_in(key, epoch), n_samples)

    return jax.jit(draw, out_shardings=sharding.replicated(mesh))


class AheadOfTime:
    """A jitted function that can be compiled before its first call, and keeps the result.

    Args:
      jitted: result of ``jax.jit``; called as it is if not compiled ahead of time.
    """

    def __init__(self, jitted: Any):
        self.lower, self._call = jitted.lower, jitted

    def compile(self, *args: Any) -> jax.stages.Compiled:
        """Compiles for these arguments; later calls must match their shapes, dtypes and shardings."""
        self._call = self.lower(*args).compile()
        return self._call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)


class InDispatches:
    """Many steps, in as few dispatches as the compiled lengths allow.

    Args:
      of_length: ``(state, x, order, first) -> (state, sums of the metrics)`` by its number of steps, 1 among them.
    """

    def __init__(self, of_length: Mapping[int, AheadOfTime]):
        self._of_length = dict(sorted(of_length.items(), reverse=True))
        self.longest = max(of_length)
        self.lower = of_length[self.longest].lower

    def compile(self, state, x, order, first) -> jax.stages.Compiled:
        """As in ``AheadOfTime``, all lengths; returns the longest."""
        longest, *_ = [run.compile(state, x, order, first) for run in self._of_length.values()]
        return longest

    def __call__(self, state, x, order, first, n_steps) -> tuple[TrainState, dict[str, jax.Array]]:
        totals: dict[str, jax.Array] = {}
        done = 0
        while done < n_steps:
            length = next(length for length in self._of_length if length <= n_steps - done)
            state, sums = self._of_length[length](state, x, order, first + done)
            totals = {name: value + totals.get(name, 0.0) for name, value in sums.items()}
            done += length
        return state, {name: total / n_steps for name, total in totals.items()}


def _make_step(
    method: Method, graphdef: nnx.GraphDef, tx: optax.GradientTransformation, mesh: Mesh
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
    """(state, batch, steps_per_epoch) -> (state, metrics), to be traced."""

    def step(
        state: TrainState, batch: dict[str, jax.Array], steps_per_epoch: int
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(state.key, state.step)
        batch = {**batch, "step": state.step, "epoch": state.step // steps_per_epoch}

        def loss_and_new(params):
            model = nnx.merge(graphdef, params, state.model_state, copy=True)
            with split_over(mesh):
                loss, (aux, metrics) = method.loss(model, state.aux, batch, key)
            return loss, (nnx.state(model, nnx.Not(nnx.Param)), aux, metrics)

        (loss, (model_state, aux, metrics)), gradients = jax.value_and_grad(loss_and_new, has_aux=True)(
            state.params
        )
        updates, opt_state = tx.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = dataclasses.replace(state, params=params, model_state=model_state, opt_state=opt_state, aux=aux)
        learns = method.learns(metrics)
        if learns is not None:  # weight decay and momentum would move the weights even without a gradient
            new = jax.tree.map(lambda after, before: jnp.where(learns, after, before), new, state)
        new = dataclasses.replace(new, step=state.step + 1)
        if method.sharded:
            new = jax.lax.with_sharding_constraint(new, shardings_of(method, new, mesh))
        return new, {"loss": loss, **metrics}

    return step


def _jit_step(step: Callable, method: Method, mesh: Mesh) -> AheadOfTime:
    """Compiles ``(state, ...) -> (state, metrics)``, which gives the state away."""
    # Where arrays are shared out the step has said so; only within it is the structure of aux known.
    where = None if method.sharded else sharding.replicated(mesh)
    return AheadOfTime(jax.jit(step, donate_argnums=0, out_shardings=where))


def loops_well(mesh: Mesh) -> bool:
    """Whether many steps should be one dispatch.

    False on a CPU: there XLA runs a convolution inside a loop many times slower (forward and backward of a
    ResNet-10 of width 16 on 256 images of 32 pixels, jax 0.10.2, two cores: 37 times), and a dispatch costs
    little compared with a step.
    """
    return mesh.devices.flat[0].platform != "cpu"


def steps_together(n_steps: int) -> int:
    """Steps of a dispatch so that the fewest dispatches, with single steps for the rest, hold ``n_steps``."""
    return min(range(min(n_steps, MOST_TOGETHER), 0, -1), key=lambda length: sum(divmod(n_steps, length)))


def make_resident_steps(
    method: Method,
    graphdef: nnx.GraphDef,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    batch_size: int,
    *,
    together: int = MOST_TOGETHER,
    looped: bool | None = None,
) -> InDispatches:
    """Many steps on a data set that is resident on the device.

    Returns ``(state, x [n, ...], order, first, n_steps) -> (state, mean metrics)``: step i takes batch
    ``first + i`` of ``order``, the rows [n] or pairs of rows [n, 2] that the method drew. The state is donated.
    If ``looped`` (by default, if the devices loop well), ``together`` steps are one dispatch, and what is left
    over are dispatches of one step. Both numbers are compiled in: a GPU would ask the host after every step
    whether a loop of a traced length goes on, and wait for its answer.
    """
    step = _make_step(method, graphdef, tx, mesh)
    by_sample = sharding.by_sample(mesh)

    def nth(state, x, order, i):
        rows = jax.lax.dynamic_slice_in_dim(order, i * batch_size, batch_size)
        rows = jax.lax.with_sharding_constraint(rows, by_sample)
        return step(state, _batch(x[rows], rows), len(order) // batch_size)

    def several(state, x, order, first):
        def body(i, carry):
            state, sums = carry
            state, metrics = nth(state, x, order, first + i)
            return state, jax.tree.map(jnp.add, sums, metrics)

        shapes = jax.eval_shape(nth, state, x, order, first)[1]
        zeros = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), shapes)
        return jax.lax.fori_loop(0, together, body, (state, zeros))

    loops = together > 1 and (loops_well(mesh) if looped is None else looped)
    runs = {1: nth, together: several} if loops else {1: nth}
    return InDispatches({length: _jit_step(run, method, mesh) for length, run in runs.items()})


def make_streaming_step(
    method: Method,
    graphdef: nnx.GraphDef,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    steps_per_epoch: int,
) -> AheadOfTime:
    """Returns ``(state, x, rows) -> (state, metrics)``, one step on one batch from the host.

    The batch holds samples ``[b, ...]`` with rows ``[b]``, or pairs ``[b, 2, ...]`` with rows ``[b, 2]``.
    """
    step = _make_step(method, graphdef, tx, mesh)

    def run(state, x, rows):
        return step(state, _batch(x, rows), steps_per_epoch)

    return _jit_step(run, method, mesh)


def _make_embedding(method: Method, graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[..., jax.Array]:
    """(state, x [b, ...]) -> features [b, d], to be traced; the samples are sharded."""

    def embed(state, x):
        x = jax.lax.with_sharding_constraint(x, sharding.by_sample(mesh))
        return method.embed(merge(graphdef, state), state.aux, {"x": as_float(x)})

    return embed


def make_embed(method: Method, graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[..., jax.Array]:
    """Returns ``(state, x [b, ...]) -> features [b, d]`` of some samples, on every device."""
    return jax.jit(_make_embedding(method, graphdef, mesh), out_shardings=sharding.replicated(mesh))


class _Shares:
    """Features while they are computed: ``[s, m, d]``, a share of the rows for each of s devices.

    Args:
      n: number of samples; the rows of the last share beyond it mean nothing.
      mesh: the devices.
    """

    def __init__(self, n: int, mesh: Mesh):
        self.n, self.m, self.mesh = n, -(-n // mesh.size), mesh
        self._zeros = jax.jit(jnp.zeros, static_argnums=(0, 1), out_shardings=sharding.by_sample(mesh))
        self._finish: Any = None

    def begin(self, like: jax.ShapeDtypeStruct) -> jax.Array:
        """Zeros for features like these of a batch."""
        return self._zeros((self.mesh.size, self.m, *like.shape[1:]), like.dtype)

    def finish(self, features: jax.Array) -> jax.Array:
        """``[n, d]``, where ``layout.sharding_of`` says."""
        if self._finish is None:
            out = layout.sharding_of((self.n, *features.shape[2:]), self.mesh)
            given_away = (0,) if self.n == self.m * self.mesh.size else ()
            self._finish = jax.jit(self.whole, donate_argnums=given_away, out_shardings=out)
        return self._finish(features)

    def whole(self, features: jax.Array) -> jax.Array:
        """The same, to be traced."""
        rows = features.reshape(-1, *features.shape[2:])
        return layout.from_rows(rows, self.n, layout.cut_over(self.mesh))


def make_embed_resident(
    method: Method, graphdef: nnx.GraphDef, mesh: Mesh, block: int, *, looped: bool | None = None
) -> Callable[..., jax.Array]:
    """Returns ``(state, x [n, ...]) -> features [n, d]`` for resident data, in blocks of ``block`` rows.

    Every device embeds the samples whose features it keeps: no features are communicated, unless the devices don't
    divide n. ``layout.sharding_of`` says where they are. A block of at least n rows is all samples at once, in
    order. ``looped`` is as in ``make_resident_steps``.
    """
    embed = _make_embedding(method, graphdef, mesh)
    shares_of = functools.cache(lambda n: _Shares(n, mesh))

    def rows_of(shares):
        return min(max(block // mesh.size, 1), shares.m)

    def put(features, state, x, i):
        # The last block reaches back so that all blocks have the same size; recomputed rows do not change.
        shares = shares_of(len(x))
        start = jnp.minimum(i * rows_of(shares), shares.m - rows_of(shares))
        places = (np.arange(mesh.size) * shares.m)[:, None] + (start + jnp.arange(rows_of(shares)))[None, :]
        places = jax.lax.with_sharding_constraint(
            jnp.minimum(places, shares.n - 1).reshape(-1), sharding.by_sample(mesh)
        )
        new = embed(state, x[places])
        return jax.lax.dynamic_update_slice_in_dim(features, new.reshape(mesh.size, -1, *new.shape[1:]), start, 1)

    def like(state, x):
        return jax.eval_shape(embed, state, jax.ShapeDtypeStruct((mesh.size, *x.shape[1:]), x.dtype))

    def n_blocks(x):
        shares = shares_of(len(x))
        return -(-shares.m // rows_of(shares))

    def at_rest(features):
        return jax.lax.with_sharding_constraint(features, layout.sharding_of(features.shape, mesh))

    def embed_all(state, x):
        shares, one = shares_of(len(x)), like(state, x)
        features = jnp.zeros((mesh.size, shares.m, *one.shape[1:]), one.dtype)
        features = jax.lax.with_sharding_constraint(features, sharding.by_sample(mesh))
        features = jax.lax.fori_loop(0, n_blocks(x), lambda i, f: put(f, state, x, i), features)
        return at_rest(shares.whole(features))

    whole, together = jax.jit(embed_all), jax.jit(lambda state, x: at_rest(embed(state, x)))
    put_one = jax.jit(put, donate_argnums=0, out_shardings=sharding.by_sample(mesh))
    in_one_dispatch = loops_well(mesh) if looped is None else looped

    def embed_resident(state, x):
        if block >= len(x):
            return together(state, x)
        if in_one_dispatch:
            return whole(state, x)
        shares = shares_of(len(x))
        features = shares.begin(like(state, x))
        for i in range(n_blocks(x)):
            features = put_one(features, state, x, np.int32(i))
        return shares.finish(features)

    return embed_resident


class EmbedStreamed:
    """Features ``[n, d]`` of samples that come in batches, in any order.

    ``put`` embeds a batch from the host, sharded by sample, and brings every row to the device that keeps it.

    Args:
      method: the method.
      graphdef: its network.
      mesh: the devices.
      n: number of samples.
    """

    def __init__(self, method: Method, graphdef: nnx.GraphDef, mesh: Mesh, n: int):
        self._shares = _Shares(n, mesh)
        self._embed = _make_embedding(method, graphdef, mesh)
        m, split = self._shares.m, PartitionSpec(sharding.AXIS)

        def place(own, new, index):
            """Within ``shard_map``: a share [1, m, d], and rows [c, d] of the batch with their index [c]."""
            first = jax.lax.axis_index(sharding.AXIS) * m
            n_parts = _parts(len(new), len(new) * mesh.size * math.prod(new.shape[1:]))

            def take(i, own):
                part = len(new) // n_parts
                mine = (jax.lax.dynamic_slice_in_dim(a, i * part, part) for a in (new, index))
                rows, places = (jax.lax.all_gather(a, sharding.AXIS, tiled=True) for a in mine)
                places = jnp.where((places >= first) & (places < first + m), places - first, m)
                return own.at[0, places].set(rows, mode="drop")

            return jax.lax.fori_loop(0, n_parts, take, own)

        def put(features, state, x, index):
            new = self._embed(state, x)
            return jax.shard_map(place, mesh=mesh, in_specs=split, out_specs=split)(features, new, index)

        self._put = jax.jit(put, donate_argnums=0, out_shardings=sharding.by_sample(mesh))

    def begin(self, state: TrainState, x: Any) -> jax.Array:
        """Space for the features."""
        return self._shares.begin(jax.eval_shape(self._embed, state, x))

    def put(self, features: jax.Array, state: TrainState, x: jax.Array, index: jax.Array) -> jax.Array:
        """Adds samples ``x [b, ...]``; those with ``index`` -1 are left out."""
        return self._put(features, state, x, index)

    def finish(self, features: jax.Array) -> jax.Array:
        """The features ``[n, d]``, where ``layout.sharding_of`` says."""
        return self._shares.finish(features)


def _parts(rows: int, n_values: int) -> int:
    """Into how many equal parts to cut rows, so that one has at most ``LARGEST_GATHER`` values on all devices."""
    wanted = -(-n_values // LARGEST_GATHER)
    return next(parts for parts in range(min(wanted, rows), rows + 1) if rows % parts == 0)


def make_assign(method: Method, graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[..., jax.Array]:
    """Returns ``(state, features [b, d]) -> probabilities [b, k]``, on every device."""

    def assign(state, features):
        return method.assign(merge(graphdef, state), state.aux, features)

    return jax.jit(assign, out_shardings=sharding.replicated(mesh))


class Assign:
    """The clusters of all samples from their features, in blocks; only labels or probabilities leave the devices.

    Args:
      method: the method.
      graphdef: its network.
      mesh: the devices.
      block: rows of a block, over all devices.
    """

    def __init__(self, method: Method, graphdef: nnx.GraphDef, mesh: Mesh, block: int):
        self._mesh, self._block = mesh, block

        def assign(state, features, start):
            rows = self._take(features, start)
            rows = jax.lax.with_sharding_constraint(rows, sharding.by_sample(mesh))
            return method.assign(merge(graphdef, state), state.aux, rows)

        on_all = sharding.replicated(mesh)
        self._probabilities = jax.jit(assign, out_shardings=on_all)
        self._labels = jax.jit(lambda *given: labels_on_device(assign(*given)), out_shardings=on_all)

    def probabilities(self, state: TrainState, features: jax.Array, n: int) -> np.ndarray:
        """``[n, k]`` of the first n samples, on the host of every process."""
        return self._all(self._probabilities, state, features)[:n]

    def labels(self, state: TrainState, features: jax.Array, n: int) -> np.ndarray:
        """int32 ``[n]`` of the first n samples: the most probable cluster; -1 for one that belongs to none."""
        return self._all(self._labels, state, features)[:n]

    def _all(self, assign, state, features):
        found: np.ndarray | None = None
        n_shares, m, rows = self._sizes(features)
        for i in range(-(-m // rows)):
            start = min(i * rows, m - rows)
            part = np.asarray(assign(state, features, np.int32(start)))
            if found is None:
                found = np.zeros((n_shares, m, *part.shape[1:]), part.dtype)
            found[:, start : start + rows] = part.reshape(n_shares, rows, *part.shape[1:])
        assert found is not None
        return found.reshape(-1, *found.shape[2:])

    def _sizes(self, features):
        """Shares of the rows, rows of a share, and those of it in a block."""
        n_shares = 1 if len(features) % self._mesh.size else self._mesh.size
        m = len(features) // n_shares
        return n_shares, m, min(max(self._block // n_shares, 1), m)

    def _take(self, features, start):
        n_shares, m, rows = self._sizes(features)
        shares = features.reshape(n_shares, m, *features.shape[1:])
        block = jax.lax.dynamic_slice_in_dim(shares, start, rows, axis=1)
        return block.reshape(n_shares * rows, *features.shape[1:])

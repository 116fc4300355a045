"""The compiled functions of training: steps, features, assignments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from jaxdc.distributed import sharding
from jaxdc.methods.base import Method
from jaxdc.train.state import TrainState, merge


def as_float(x: jax.Array) -> jax.Array:
    """What a method receives: uint8 images as [0, 1], int32 token ids as they are, other numbers as float32."""
    if x.dtype == jnp.int32:
        return x
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x.astype(jnp.float32)


def _batch(x: jax.Array, rows: jax.Array) -> dict[str, jax.Array]:
    """What the method sees of samples, or of pairs ``[b, 2, ...]`` of a sample and its partner."""
    if rows.ndim == 1:
        return {"x": as_float(x), "index": rows}
    pairs = {"index": rows[:, 0], "neighbor_index": rows[:, 1]}
    return {"x": as_float(x[:, 0]), "neighbor": as_float(x[:, 1]), **pairs}


def make_draw(method: Method, mesh: Mesh, n_samples: int) -> Callable[..., jax.Array]:
    """``(aux, key, epoch) -> rows`` of an epoch, on every device."""

    def draw(aux, key, epoch):
        return method.draw(aux, jax.random.fold_in(key, epoch), n_samples)

    return jax.jit(draw, out_shardings=sharding.replicated(mesh))


class AheadOfTime:
    """A jitted function that can be compiled before its first call, and keeps what was compiled.

    Args:
      jitted: of ``jax.jit``. Where it is not compiled ahead, it is called as it is.
    """

    def __init__(self, jitted: Any):
        self.lower, self._call = jitted.lower, jitted

    def compile(self, *args: Any) -> jax.stages.Compiled:
        """Compiles for arguments like these; later calls must be of their shapes, dtypes and shardings."""
        self._call = self.lower(*args).compile()
        return self._call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)


class OneByOne:
    """Many steps, each of them one dispatch of ``(state, x, order, i) -> (state, metrics)``."""

    def __init__(self, one: AheadOfTime):
        self._one = one

    def compile(self, state, x, order, first, n_steps) -> jax.stages.Compiled:
        """As of ``AheadOfTime``."""
        del n_steps
        return self._one.compile(state, x, order, first)

    def __call__(self, state, x, order, first, n_steps) -> tuple[TrainState, dict[str, jax.Array]]:
        totals: dict[str, jax.Array] = {}
        for i in range(n_steps):
            state, metrics = self._one(state, x, order, first + i)
            totals = {name: value + totals.get(name, 0.0) for name, value in metrics.items()}
        return state, {name: total / n_steps for name, total in totals.items()}


def _make_step(method: Method, graphdef: nnx.GraphDef, tx: optax.GradientTransformation) -> Callable:
    """(state, batch, steps_per_epoch) -> (state, metrics), to be traced."""

    def step(
        state: TrainState, batch: dict[str, jax.Array], steps_per_epoch: int
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        key = jax.random.fold_in(state.key, state.step)
        batch = {**batch, "step": state.step, "epoch": state.step // steps_per_epoch}

        def loss_and_new(params):
            model = nnx.merge(graphdef, params, state.model_state, copy=True)
            loss, (aux, metrics) = method.loss(model, state.aux, batch, key)
            return loss, (nnx.state(model, nnx.Not(nnx.Param)), aux, metrics)

        (loss, (model_state, aux, metrics)), gradients = jax.value_and_grad(loss_and_new, has_aux=True)(
            state.params
        )
        updates, opt_state = tx.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = dataclasses.replace(state, params=params, model_state=model_state, opt_state=opt_state, aux=aux)
        learns = method.learns(metrics)
        if learns is not None:  # decay and momentum would move the weights without any gradient
            new = jax.tree.map(lambda after, before: jnp.where(learns, after, before), new, state)
        return dataclasses.replace(new, step=state.step + 1), {"loss": loss, **metrics}

    return step


def loops_well(mesh: Mesh) -> bool:
    """Whether many steps should be one dispatch.

    Not on a CPU: XLA runs a convolution within a loop many times slower there (forward and backward of a
    ResNet-10 of width 16 on 256 images of 32 pixels, jax 0.10.2, two cores: 37 times), and a dispatch costs
    little beside a step.
    """
    return mesh.devices.flat[0].platform != "cpu"


def make_resident_steps(
    method: Method,
    graphdef: nnx.GraphDef,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    batch_size: int,
    *,
    looped: bool | None = None,
) -> AheadOfTime | OneByOne:
    """Many steps on a data set that is on the device.

    Returns ``(state, x [n, ...], order, first, n_steps) -> (state, mean metrics)``: step i takes the
    ``first + i``-th batch of ``order``, the rows [n] or pairs of rows [n, 2] that the method has drawn. The state
    is donated. Where ``looped`` (by default, where the devices loop well) they are one dispatch, and their number
    is traced, so that any number runs the same compiled step.
    """
    step = _make_step(method, graphdef, tx)
    on_all, by_sample = sharding.replicated(mesh), sharding.by_sample(mesh)

    def nth(state, x, order, i):
        rows = jax.lax.dynamic_slice_in_dim(order, i * batch_size, batch_size)
        rows = jax.lax.with_sharding_constraint(rows, by_sample)
        return step(state, _batch(x[rows], rows), len(order) // batch_size)

    if not (loops_well(mesh) if looped is None else looped):
        return OneByOne(AheadOfTime(jax.jit(nth, donate_argnums=0, out_shardings=on_all)))

    def run(state, x, order, first, n_steps):
        def body(i, carry):
            state, totals = carry
            state, metrics = nth(state, x, order, first + i)
            return state, jax.tree.map(jnp.add, totals, metrics)

        shapes = jax.eval_shape(nth, state, x, order, first)[1]
        zeros = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), shapes)
        state, totals = jax.lax.fori_loop(0, n_steps, body, (state, zeros))
        return state, jax.tree.map(lambda total: total / n_steps, totals)

    return AheadOfTime(jax.jit(run, donate_argnums=0, out_shardings=on_all))


def make_streaming_step(
    method: Method,
    graphdef: nnx.GraphDef,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    steps_per_epoch: int,
) -> AheadOfTime:
    """One step on one batch from the host: ``(state, x, rows) -> (state, metrics)``.

    Samples ``[b, ...]`` and their rows ``[b]``, or pairs ``[b, 2, ...]`` and ``[b, 2]``.
    """
    step = _make_step(method, graphdef, tx)

    def run(state, x, rows):
        return step(state, _batch(x, rows), steps_per_epoch)

    return AheadOfTime(jax.jit(run, donate_argnums=0, out_shardings=sharding.replicated(mesh)))


def make_embed(method: Method, graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[..., jax.Array]:
    """``(state, x [b, ...]) -> features [b, d]``, on every device; the samples are shared out."""

    def embed(state, x):
        x = jax.lax.with_sharding_constraint(x, sharding.by_sample(mesh))
        return method.embed(merge(graphdef, state), state.aux, {"x": as_float(x)})

    return jax.jit(embed, out_shardings=sharding.replicated(mesh))


def make_embed_resident(
    method: Method, graphdef: nnx.GraphDef, mesh: Mesh, block: int, *, looped: bool | None = None
) -> Callable[..., jax.Array]:
    """``(state, x [n, ...]) -> features [n, d]`` of a data set on the device, ``block`` rows at a time.

    ``looped`` is as in ``make_resident_steps``.
    """
    on_all = sharding.replicated(mesh)

    def embed(state, rows):
        rows = jax.lax.with_sharding_constraint(rows, sharding.by_sample(mesh))
        return method.embed(merge(graphdef, state), state.aux, {"x": as_float(rows)})

    def put(features, state, x, i):
        # The last block reaches back, so that all are of one size; its rows come out the same.
        start = jnp.minimum(i * block, x.shape[0] - block)
        rows = jax.lax.dynamic_slice_in_dim(x, start, block)
        return jax.lax.dynamic_update_slice_in_dim(features, embed(state, rows), start, 0)

    def empty(state, x):
        like = jax.eval_shape(embed, state, jax.ShapeDtypeStruct((block, *x.shape[1:]), x.dtype))
        return jnp.zeros((x.shape[0], *like.shape[1:]), like.dtype)

    def n_blocks(x):
        return -(-x.shape[0] // block)

    if not (loops_well(mesh) if looped is None else looped):
        first = jax.jit(empty, out_shardings=on_all)
        put_one = jax.jit(put, donate_argnums=0, out_shardings=on_all)

        def embed_one_by_one(state, x):
            features = first(state, x)
            for i in range(n_blocks(x)):
                features = put_one(features, state, x, np.int32(i))
            return features

        return embed_one_by_one

    def embed_all(state, x):
        return jax.lax.fori_loop(0, n_blocks(x), lambda i, f: put(f, state, x, i), empty(state, x))

    return jax.jit(embed_all, out_shardings=on_all)


def make_assign(method: Method, graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[..., jax.Array]:
    """``(state, features [b, d]) -> probabilities [b, k]``, on every device."""

    def assign(state, features):
        return method.assign(merge(graphdef, state), state.aux, features)

    return jax.jit(assign, out_shardings=sharding.replicated(mesh))

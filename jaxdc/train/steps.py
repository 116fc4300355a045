"""Compiled training steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from jaxdc.distributed import sharding
from jaxdc.losses._global import split_over
from jaxdc.methods.base import Method
from jaxdc.train.state import TrainState, shardings_of

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
            metrics = {**metrics, "learnt": jnp.asarray(learns, jnp.float32)}
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

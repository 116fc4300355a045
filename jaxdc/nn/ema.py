"""Exponential moving averages of parameters, for momentum encoders and teachers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def ema(old: Any, new: Any, momentum: jax.typing.ArrayLike) -> Any:
    """``momentum * old + (1 - momentum) * new``, leaf by leaf; no gradient flows through it.

    Computed in float32, with the dtypes of ``old`` in the result. Where the two agree, it is exactly
    ``old``.

    Use it for parameters. In MoCo and its followers, the momentum encoder has its own batch
    statistics, from its own forward passes: split it with ``nnx.split(encoder, nnx.Param, ...)``,
    average the first part, and keep the second one::

        graphdef, params, _ = nnx.split(model.encoder, nnx.Param, ...)
        params = ema(aux["params"], params, 0.999)
        encoder = nnx.merge(graphdef, params, aux["statistics"], copy=True)
        keys = encoder(x, train=True)
        aux = {"params": params, "statistics": nnx.state(encoder, nnx.Not(nnx.Param))}

    Args:
      old: the average so far, a pytree of float arrays.
      new: the new values, with the same structure.
      momentum: weight of ``old``: a number or a scalar array.

    Returns:
      The new average, like ``old``.
    """

    def average(a: jax.Array, b: jax.Array) -> jax.Array:
        a32, b32 = a.astype(jnp.float32), jax.lax.stop_gradient(b).astype(jnp.float32)
        # Written as a step towards b: with two products, rounding would change equal values.
        return (a32 + (1 - momentum) * (b32 - a32)).astype(a.dtype)

    return jax.tree.map(average, jax.lax.stop_gradient(old), new)

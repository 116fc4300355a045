"""Shared by MoCo, PCL, MiCE, BYOL and ProPos: a momentum copy of the network, and a queue of the keys it computes.

Keys are computed in evaluation mode, with averages of the trained network's statistics and parameters (EMAN,
Cai et al., CVPR 2021, arXiv 2101.08482), and the queue starts empty; ``moco.py`` explains why. All state is in
a few entries of a method's ``aux``.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import losses, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import Aux

PAPER = 0.999  # MoCo's and PCL's value for ImageNet
SMALL = 0.99  # for images up to 64 pixels, which train for fewer steps


def or_paper(momentum: float | None) -> float:
    """The momentum, or the paper's if neither the user nor a recipe set one."""
    return PAPER if momentum is None else momentum


def start(model: nnx.Module, *, queue_size: int, width: int | tuple[int, ...]) -> dict[str, Any]:
    """The initial entries of ``aux``: a copy equal to the network, and an empty queue.

    Args:
      model: the trained network.
      queue_size: number of keys in the queue.
      width: width of a key, or the shape of all keys of a sample.
    """
    return {
        **copy_of(model),
        "queue": jnp.zeros((queue_size, *np.atleast_1d(width))),
        "position": jnp.zeros((), jnp.int32),
    }


def copy_of(model: nnx.Module) -> dict[str, Any]:
    """The entries of ``aux`` without a queue: a copy equal to the network, and the steps it was moved."""
    return {
        "momentum_encoder": jax.tree.map(jnp.copy, nnx.state(model)),
        "step": jnp.zeros((), jnp.int32),
    }


def network(model: Any, aux: Aux) -> Any:
    """The momentum copy, as a module of the same type as ``model``."""
    return nnx.merge(nnx.split(model)[0], aux["momentum_encoder"], copy=True)


def step(
    model: Any, aux: Aux, views: tuple[jax.Array, jax.Array], momentum: float
) -> tuple[jax.Array, jax.Array, Aux]:
    """Updates the copy and computes queries from view 1 and keys from view 2: ``(queries, keys, new aux)``.

    The keys are in the queue of the new ``aux``; compare the queries with the old queue.
    """
    query_view, key_view = views
    new = moved(model, aux, momentum)
    keys = jax.lax.stop_gradient(network(model, new)(key_view, train=False))
    queries = model(query_view, train=True)
    queue, position = losses.update_queue(aux["queue"], aux["position"], keys)
    return queries, keys, {**new, "queue": queue, "position": position}


def moved(model: Any, aux: Aux, momentum: float | jax.Array) -> Aux:
    """``aux`` with the copy one step closer to the network."""
    average = _average(aux["momentum_encoder"], nnx.state(model), momentum, aux["step"])
    return {**aux, "momentum_encoder": average, "step": aux["step"] + 1}


def rising(momentum: float, progress: jax.Array) -> jax.Array:
    """The momentum after this share of the training: ``1 - (1 - m) (cos(pi progress) + 1) / 2``, which ends at 1.

    Section 3.2 of BYOL (Grill et al., 2020, arXiv 2006.07733).
    """
    return 1 - (1 - momentum) * (jnp.cos(math.pi * jnp.minimum(progress, 1.0)) + 1) / 2


def _average(old: nnx.State, new: nnx.State, momentum: float | jax.Array, step: jax.Array) -> nnx.State:
    """The next average. Statistics converge quickly: they start at 0 and 1, far from those of any data."""
    (old_params, old_rest), (new_params, new_rest) = (nnx.split_state(s, nnx.Param, ...) for s in (old, new))
    warm = jnp.minimum(momentum, (1.0 + step) / (10.0 + step))
    return nnx.merge_state(nn.ema(old_params, new_params, momentum), nn.ema(old_rest, new_rest, warm))


def info_nce(queries: jax.Array, keys: jax.Array, aux: Aux, temperature: float) -> jax.Array:
    """``losses.info_nce`` against the current content of the queue, averaged over the batch."""
    n_filled = aux["step"] * keys.shape[0]
    return jnp.mean(losses.info_nce(queries, keys, aux["queue"], temperature=temperature, n_filled=n_filled))


def check_queue(queue_size: int, batch_size: int) -> None:
    """Raises InputError if the keys of a batch don't fit into the queue."""
    if batch_size > queue_size:
        raise InputError(
            f"the queue of {queue_size} keys is smaller than a batch of {batch_size}: "
            "raise queue_size, or lower the batch size"
        )

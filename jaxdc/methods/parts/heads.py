"""Several heads on one encoder, trained side by side, of which that of the lowest loss is kept.

The heads' losses are summed between two refreshes, and the next refresh chooses; labels play no part in it. It
lies in two parts of a method's ``aux``, ``losses`` [h] and ``head``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxdc.methods.base import Aux


def start(n_heads: int) -> dict[str, Any]:
    """The parts of ``aux`` at the beginning."""
    return {"losses": jnp.zeros(n_heads), "head": jnp.zeros((), jnp.int32)}


def count(aux: Aux, per_head: jax.Array) -> Aux:
    """Adds the losses [h] of a step."""
    return {**aux, "losses": aux["losses"] + jax.lax.stop_gradient(per_head)}


def choose(aux: Aux) -> Aux:
    """Keeps the head of the lowest loss since the last choice, and begins to count anew."""
    return keep({**aux, "losses": jnp.zeros_like(aux["losses"])}, aux["losses"])


def keep(aux: Aux, losses: jax.Array) -> Aux:
    """Keeps the head of the lowest of these losses [h]."""
    return {**aux, "head": jnp.argmin(losses).astype(jnp.int32)}

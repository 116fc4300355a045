"""The objective of skip-gram (Mikolov et al., 2013, arXiv 1310.4546, equation 4), for words and for nodes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def negative_sampling_of_scores(
    towards: Float[Array, "b c"], held: Bool[Array, "b c"], against: Float[Array, "b m"], n_negatives: float
) -> Float[Array, ""]:
    """Mean over pairs of ``-log s(u·v)`` and ``n_negatives`` times the mean of ``-log s(-u·w)`` over negatives.

    s is the logistic function.

    Args:
      towards: products of each vector u with those of its contexts v.
      held: mask of the entries that are contexts.
      against: products of each vector with those of the negatives w, which all pairs share.
      n_negatives: weight of their mean relative to a pair.
    """
    n_pairs = jnp.sum(held, axis=1)
    of_pairs = jnp.sum(jnp.where(held, jax.nn.softplus(-towards), 0.0))
    of_negatives = jnp.sum(n_pairs * jnp.mean(jax.nn.softplus(against), axis=1))
    return (of_pairs + n_negatives * of_negatives) / jnp.maximum(jnp.sum(n_pairs), 1)

"""Views of texts: token dropout, and value dropout for vectors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


def drop_tokens(tokens: Int[Array, "b l"], dropped: Bool[Array, "b l"]) -> Int[Array, "b l"]:
    """Removes tokens; later tokens move up, and zeros fill the end.

    The first token of a text, [CLS], and its last, [SEP], are always kept.

    Args:
      tokens: token ids, padded with 0 ``[b, l]``.
      dropped: tokens to remove ``[b, l]``.

    Returns:
      Ids of the same shape.

    Example:
      >>> print(drop_tokens(jnp.array([[101, 5, 6, 102, 0]]), jnp.array([[True, True, False, True, True]])))
      [[101   6 102   0   0]]
    """
    there, place = tokens != 0, jnp.arange(tokens.shape[1], dtype=jnp.int32)[None]
    last = jnp.sum(there, axis=1, keepdims=True, dtype=jnp.int32) - 1
    kept = there & (~dropped | (place == 0) | (place == last))
    order = jnp.argsort(~kept, axis=1, stable=True)
    return jnp.take_along_axis(jnp.where(kept, tokens, 0), order, axis=1)


def random_drop_tokens(key: PRNGKeyArray, tokens: Int[Array, "b l"], rate: float) -> Int[Array, "b l"]:
    """Removes each token with probability ``rate``, except [CLS] and [SEP]."""
    return drop_tokens(tokens, jax.random.bernoulli(key, rate, tokens.shape))


def random_drop_values(key: PRNGKeyArray, x: Float[Array, "b d"], rate: float) -> Float[Array, "b d"]:
    """Sets each value to zero with probability ``rate``, and scales up the others to keep the mean."""
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0.0)

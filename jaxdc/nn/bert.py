"""BERT's encoder (Devlin et al., 2019, arXiv 1810.04805) with sentence pooling (Reimers, Gurevych, 2019).

Post-norm transformer blocks with an erf GELU and one segment, then the pooling of a sentence-transformers model.
``jaxdc.nn.sentence_model`` reads the weights from disk.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

PADDING = 0  # id of the padding token


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertSettings:
    """The sizes of a BERT, and how it pools sentence vectors.

    Attributes:
      vocabulary: number of tokens in the vocabulary.
      width: width of token and sentence vectors.
      depth: number of blocks.
      heads: number of attention heads.
      hidden: width of a block's GELU layer.
      max_tokens: number of positions.
      segments: number of segment types; sentences have the first.
      epsilon: epsilon of the layer norms.
      pooling: "cls" takes the first token's vector, "mean" and "max" pool over all tokens.
      normalize: scale sentence vectors to unit length.
    """

    vocabulary: int
    width: int
    depth: int
    heads: int
    hidden: int
    max_tokens: int = 512
    segments: int = 2
    epsilon: float = 1e-12
    pooling: Literal["cls", "mean", "max"] = "mean"
    normalize: bool = False


class Dropout:
    """Sets a share of the values to zero and scales up the others, with a new draw per call. Rate 0 does nothing.

    Args:
      rate: share of values set to zero.
      key: random key for all draws.
    """

    def __init__(self, rate: float = 0.0, key: jax.Array | None = None):
        self.rate, self.key, self._calls = rate, key, 0

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns an array of the same shape."""
        if self.rate == 0 or self.key is None:
            return x
        self._calls += 1
        kept = jax.random.bernoulli(jax.random.fold_in(self.key, self._calls), 1 - self.rate, x.shape)
        return jnp.where(kept, x / (1 - self.rate), 0.0)


class Block(nnx.Module):
    """Attention, then two layers, with a layer norm after each residual sum."""

    def __init__(self, settings: BertSettings, rngs: nnx.Rngs):
        width, epsilon = settings.width, settings.epsilon
        self.heads = settings.heads
        self.query, self.key, self.value, self.out = (nnx.Linear(width, width, rngs=rngs) for _ in range(4))
        self.attention_norm = nnx.LayerNorm(width, epsilon=epsilon, rngs=rngs)
        self.wide, self.narrow = (
            nnx.Linear(a, b, rngs=rngs) for a, b in ((width, settings.hidden), (settings.hidden, width))
        )
        self.norm = nnx.LayerNorm(width, epsilon=epsilon, rngs=rngs)

    def __call__(self, x: jax.Array, mask: jax.Array, dropout: Dropout) -> jax.Array:
        """[b, l, width] -> the same; tokens attend only to those in the mask [b, l]."""
        query, key, value = (self._split(part(x)) for part in (self.query, self.key, self.value))
        scores = jnp.einsum("blhd,bmhd->bhlm", query, key) / math.sqrt(query.shape[-1])
        # Finite, so that a row of padding alone attends to all of it instead of becoming NaN.
        scores = jnp.where(mask[:, None, None, :], scores, jnp.finfo(scores.dtype).min)
        mixed = jnp.einsum("bhlm,bmhd->blhd", jax.nn.softmax(scores, axis=-1), value)
        x = self.attention_norm(x + dropout(self.out(mixed.reshape(x.shape))))
        return self.norm(x + dropout(self.narrow(jax.nn.gelu(self.wide(x), approximate=False))))

    def _split(self, x):
        return x.reshape(*x.shape[:2], self.heads, -1)


class Bert(nnx.Module):
    """Token ids -> sentence vectors.

    Args:
      settings: sizes and pooling.
      rngs: random streams for initialisation.
    """

    def __init__(self, settings: BertSettings, rngs: nnx.Rngs):
        self.settings, self.n_features = settings, settings.width
        width = settings.width
        self.words = nnx.Embed(settings.vocabulary, width, rngs=rngs)
        self.positions = nnx.Embed(settings.max_tokens, width, rngs=rngs)
        self.segments = nnx.Embed(settings.segments, width, rngs=rngs)
        self.norm = nnx.LayerNorm(width, epsilon=settings.epsilon, rngs=rngs)
        self.blocks = nnx.List(Block(settings, rngs) for _ in range(settings.depth))

    def __call__(self, tokens: jax.Array, *, dropout: Dropout | None = None) -> jax.Array:
        """Token ids [b, l], padded with 0, -> sentence vectors [b, width].

        ``dropout`` is applied to the embedded tokens and to both residual branches of each block, as in BERT's
        training, but not to the attention weights.
        """
        dropout = dropout or Dropout()
        tokens = tokens.astype(jnp.int32)
        mask = tokens != PADDING
        x = self.words(tokens)
        x = x + self.positions(jnp.arange(tokens.shape[1], dtype=jnp.int32))[None]
        x = dropout(self.norm(x + self.segments(jnp.zeros((1, 1), jnp.int32))))
        for block in self.blocks:
            x = block(x, mask, dropout)
        return self._pool(x, mask)

    def _pool(self, x, mask):
        if self.settings.pooling == "cls":
            z = x[:, 0]
        elif self.settings.pooling == "max":
            z = jnp.max(jnp.where(mask[..., None], x, jnp.finfo(x.dtype).min), axis=1)
        else:
            z = jnp.sum(x * mask[..., None], axis=1) / jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1)
        if not self.settings.normalize:
            return z
        # The square root has no gradient at zero.
        return z * jax.lax.rsqrt(jnp.maximum(jnp.sum(z * z, axis=1, keepdims=True), 1e-24))

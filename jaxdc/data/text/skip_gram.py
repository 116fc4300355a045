"""Word vectors learned from the texts themselves: skip-gram with negative sampling.

Mikolov et al., 2013 (arXiv 1310.4546): the vector of a word should distinguish the words around it from randomly
drawn words.

Differs from the paper in: the steps of a batch are one Adam step, instead of many steps of plain gradient
descent; the random words of a batch are shared by all its pairs, so that they take one matrix product, and are
weighted to count as ``n_negatives`` per pair; a window does not extend into the next text.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from optax import scale_by_adam

from jaxdc.data.text.word_vectors import WordVectors
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.losses._skip_gram import negative_sampling_of_scores


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkipGram:
    """Settings for learning word vectors.

    Attributes:
      dim: length of a vector.
      window: maximum distance of a context word; each word draws its reach from 1 to this.
      n_negatives: weight of the random words, as a number per pair.
      n_drawn: number of random words drawn per step, shared by all its pairs.
      min_count: least number of occurrences of a word that gets a vector.
      subsample: frequency threshold: the further a word's share of the texts is above it, the more of its
        occurrences are skipped.
      epochs: passes over the texts.
      least_steps: minimum number of steps; few texts are passed over more often to reach it.
      batch_size: words per step, each with all of its contexts.
      learning_rate: initial learning rate of Adam, which decays linearly to 0.
    """

    dim: int = 100
    window: int = 10
    n_negatives: int = 5
    n_drawn: int = 128
    min_count: int = 2
    subsample: float = 1e-3
    epochs: int = 30
    least_steps: int = 2000
    batch_size: int = 1024
    learning_rate: float = 0.005

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise InputError(f"{field.name} of the word vectors must be above 0, but is {value}")

    def train(self, texts: Sequence[Sequence[str]], *, seed: int = 0, devices: Any = None) -> WordVectors:
        """Learns vectors for the words of the texts, most frequent first.

        Args:
          texts: the words of each text, in order.
          seed: random seed for initialisation and sampling; the same seed gives the same vectors.
          devices: devices to divide each step among (default: all).

        Raises:
          InputError: fewer than two words are frequent enough, or no text holds two of them.
        """
        words, corpus = _corpus(texts, self)
        a_pass = float(np.sum(corpus.kept[corpus.tokens])) / self.batch_size  # average number of steps
        n_epochs = max(self.epochs, math.ceil(self.least_steps / a_pass))
        mesh, key = sharding.make_mesh(devices), jax.random.key(seed)
        corpus = sharding.replicate(corpus, mesh)
        state = sharding.replicate(_start(jax.random.fold_in(key, n_epochs), len(words), self.dim), mesh)
        for epoch in range(n_epochs):
            done = np.array([epoch, epoch + 1], np.float32) / n_epochs
            given = sharding.replicate((jax.random.fold_in(key, epoch), done), mesh)
            state, _ = _epoch(self, mesh, state, corpus, *given)
        return WordVectors(words, np.asarray(state.params.words))


def negative_sampling(
    center: Float[Array, "b d"],
    context: Float[Array, "b c d"],
    held: Bool[Array, "b c"],
    negatives: Float[Array, "m d"],
    n_negatives: float,
) -> Float[Array, ""]:
    """Mean over pairs of ``-log s(u·v)`` and ``n_negatives`` times the mean of ``-log s(-u·w)`` over negatives.

    s is the logistic function; u is the vector of the word, v that of the context, w that of a random word.

    Args:
      center: vectors of words.
      context: vectors of the words around each, from the context table.
      held: mask of the entries that are contexts.
      negatives: vectors of random words.
      n_negatives: weight of their mean relative to a pair.
    """
    towards = jnp.einsum("bd,bcd->bc", center, context)
    return negative_sampling_of_scores(towards, held, center @ negatives.T, n_negatives)


class _Tables(NamedTuple):
    """Vectors of words ``[v, d]``: as words, and as contexts of other words."""

    words: Any
    contexts: Any


class _State(NamedTuple):
    params: _Tables
    adam: Any


class _Corpus(NamedTuple):
    """Words ``[t]`` and their texts ``[t]``; for each word, the share to keep and the cumulative noise ``[v]``."""

    tokens: Any
    text_of: Any
    kept: Any
    noise: Any


def _corpus(texts: Sequence[Sequence[str]], settings: SkipGram) -> tuple[list[str], _Corpus]:
    min_count = settings.min_count
    counts = Counter(word for text in texts for word in text)
    words = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
    place = {word: i for i, word in enumerate(words)}
    lists = [[place[word] for word in text if word in place] for text in texts]
    if len(words) < 2 or max(map(len, lists), default=0) < 2:
        raise InputError(
            f"can't learn word vectors from {len(texts):,} texts with {len(words):,} words that occur "
            f"{min_count} times or more, because no two of them are in one text"
            if len(words) >= 2
            else f"can't learn word vectors from {len(texts):,} texts in which {len(words)} word occurs "
            f"{min_count} times or more"
        )
    tokens = np.fromiter((token for one in lists for token in one), np.int32)
    text_of = np.repeat(np.arange(len(lists), dtype=np.int32), [len(one) for one in lists])
    counted = np.bincount(tokens, minlength=len(words)).astype(np.float64)
    kept = np.minimum(np.sqrt(settings.subsample * len(tokens) / counted), 1.0)
    noise = np.cumsum(counted**0.75)
    return words, _Corpus(tokens, text_of, kept.astype(np.float32), (noise / noise[-1]).astype(np.float32))


def _start(key: jax.Array, n_words: int, dim: int) -> _State:
    words = jax.random.uniform(key, (n_words, dim), minval=-0.5, maxval=0.5) / dim
    params = _Tables(words, jnp.zeros((n_words, dim)))
    return _State(params, scale_by_adam().init(params))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def _epoch(settings: SkipGram, mesh: Any, state: _State, corpus: _Corpus, key: jax.Array, done: Any):
    """One pass, and its mean loss; ``done`` is the share of all passes before it and after it."""
    keys = jax.random.split(key, 4)
    n, b = len(corpus.tokens), settings.batch_size
    # Skipped occurrences are removed first, so their neighbours move closer together, as in the authors' code.
    kept = jax.random.uniform(keys[0], (n,)) < corpus.kept[corpus.tokens]
    n_kept = jnp.sum(kept)
    rows = jnp.nonzero(kept, size=n, fill_value=0)[0]
    tokens = corpus.tokens[rows]
    text_of = jnp.where(jnp.arange(n) < n_kept, corpus.text_of[rows], -1)
    order = jnp.argsort(jnp.where(jnp.arange(n) < n_kept, jax.random.uniform(keys[1], (n,)), 2.0))
    reach = jax.random.randint(keys[2], (n,), 1, settings.window + 1)
    offsets = jnp.concatenate([jnp.arange(-settings.window, 0), jnp.arange(1, settings.window + 1)])
    n_steps = (n_kept + b - 1) // b

    def step(i, carry):
        state, total = carry
        # Positions past the epoch hold no pairs, nor does the padding that makes the batch divisible by the
        # devices.
        place = jnp.arange(b + -b % mesh.size)
        taken = (place < b) & (i * b + place < n_kept)
        center = order[jnp.minimum(i * b + place, n - 1)]
        center, taken = jax.lax.with_sharding_constraint((center, taken), sharding.by_sample(mesh))
        around = center[:, None] + offsets[None, :]
        held = (around >= 0) & (around < n) & taken[:, None]
        around = jnp.clip(around, 0, n - 1)
        held &= (text_of[around] == text_of[center][:, None]) & (
            jnp.abs(offsets)[None, :] <= reach[center][:, None]
        )
        uniform = jax.random.uniform(jax.random.fold_in(keys[3], i), (settings.n_drawn,))
        drawn = jnp.minimum(jnp.searchsorted(corpus.noise, uniform, side="right"), len(corpus.noise) - 1)

        def loss(params: _Tables):
            return negative_sampling(
                params.words[tokens[center]],
                params.contexts[tokens[around]],
                held,
                params.contexts[drawn],
                settings.n_negatives,
            )

        value, gradient = jax.value_and_grad(loss)(state.params)
        updates, adam = scale_by_adam().update(gradient, state.adam)
        rate: Any = settings.learning_rate * (1 - done[0] - (done[1] - done[0]) * i / n_steps)
        params = jax.tree.map(lambda param, update: param - rate * update, state.params, updates)
        return _State(params, adam), total + value

    state, total = jax.lax.fori_loop(0, n_steps, step, (state, jnp.float32(0)))
    return state, total / jnp.maximum(n_steps, 1)

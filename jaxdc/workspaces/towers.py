"""Learns vectors of documents such that those used together are close.

There are two towers, one for each document of a pair, with shared weights, because being used together is
symmetric. A document is the sum of its own vector, which only its use can train, and a linear map of its tf-idf,
which is trained by many documents: for a rarely used document, the text decides.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from jaxdc.data.text.progress import Progress
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.losses import in_batch_softmax
from jaxdc.workspaces.sessions import Pairs

_DISPATCH = 50  # steps between two reports of progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Towers:
    """Settings for learning the vectors.

    Attributes:
      dim: length of a vector.
      ids: whether a document has its own vector.
      temperature: temperature of the softmax over the batch.
      id_penalty: weight of the squared length of documents' own vectors, which keeps them short for rarely used
        ones.
      id_dropout: probability that a document with a text is represented by the text alone.
      epochs: passes over the pairs.
      least_steps: minimum number of steps; few pairs are passed over more often to reach it.
      batch_size: pairs per step over all devices; each is contrasted with all others.
      learning_rate: initial learning rate of Adam, which decays linearly to 0.
    """

    dim: int = 64
    ids: bool = True
    temperature: float = 0.5
    id_penalty: float = 1.0
    id_dropout: float = 0.3
    epochs: float = 26.0
    least_steps: int = 400
    batch_size: int = 512
    learning_rate: float = 0.002

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in ("ids", "id_penalty", "id_dropout", "least_steps") else None
            if not (value > 0 or value == least):
                raise InputError(f"{field.name} of the towers must be above 0, but is {value}")
        if self.id_dropout > 1:
            raise InputError(f"id_dropout of the towers must be from 0 to 1, but is {self.id_dropout}")

    def n_steps(self, pairs: Pairs) -> int:
        """Number of training steps for these pairs, in whole dispatches."""
        wanted = max(self.least_steps, self.epochs * len(pairs.first) / self.batch_size)
        return math.ceil(wanted / _DISPATCH) * _DISPATCH

    def train(
        self,
        pairs: Pairs,
        n_documents: int,
        texts: np.ndarray | None = None,
        *,
        seed: int = 0,
        devices: Any = None,
        progress: Progress | None = None,
    ) -> Trained:
        """Learns a vector for each document.

        Args:
          pairs: documents that are used together, drawn in proportion to their weights.
          n_documents: number of documents.
          texts: tf-idf of each document ``[n, v]``, zeros for a document without text; None uses only the
            accesses.
          seed: random seed for initialisation, sampling and dropout; the same seed gives the same vectors.
          devices: devices to divide each batch among (default: all).
          progress: receives the progress.

        Raises:
          InputError: there are neither own vectors nor texts, or the batch can't be divided.
        """
        if texts is None and not self.ids:
            raise InputError("towers without own vectors (ids) need texts")
        mesh = sharding.make_mesh(devices)
        sharding.check_batch_size(self.batch_size, mesh)
        keys = jax.random.split(jax.random.key(seed))
        data = sharding.replicate(_data(pairs, n_documents, texts), mesh)
        n_terms = None if texts is None else texts.shape[1]
        tower = Tower(self, n_documents, n_terms, rngs=nnx.Rngs(params=keys[0]))
        graphdef, params = nnx.split(tower, nnx.Param)
        n_steps = self.n_steps(pairs)
        tx = optax.adam(optax.linear_schedule(self.learning_rate, 0.0, n_steps))
        state = sharding.replicate(_State(params, tx.init(params)), mesh)
        key, losses = sharding.replicate(keys[1], mesh), []
        for start in range(0, n_steps, _DISPATCH):
            at = sharding.replicate(np.int32(start), mesh)
            state, loss = _steps(self, n_steps, graphdef, mesh, state, data, key, at)
            losses.append(loss)
            if progress is not None:
                # Not at every step, because it waits for the device to finish the reported steps.
                loss.block_until_ready()
                progress.advance(_DISPATCH)
        vectors = np.array(_vectors(graphdef, state.params, data))
        known = np.zeros(n_documents, bool)
        known[pairs.first] = known[pairs.second] = self.ids
        if texts is not None:
            known |= texts.any(axis=1)
        vectors[~known] = 0.0  # their initial values are meaningless
        return Trained(vectors, np.array([float(loss) for loss in losses]))


class Trained(NamedTuple):
    """The result of training the towers.

    Attributes:
      vectors: unit-norm vectors ``[n, d]``; zero for documents without any information.
      losses: mean loss of every 50 steps.
    """

    vectors: np.ndarray
    losses: np.ndarray


class Tower(nnx.Module):
    """Maps documents to unnormalised vectors; the loss normalises them.

    Args:
      settings: length of the vectors, and whether documents have their own.
      n_documents: number of documents.
      n_terms: width of their tf-idf; None without texts.
      rngs: random streams for initialisation.
    """

    def __init__(self, settings: Towers, n_documents: int, n_terms: int | None, *, rngs: nnx.Rngs):
        scale = settings.dim**-0.5
        # Small compared with the texts, which should dominate at first.
        draw = functools.partial(jax.random.normal, dtype=jnp.float32)
        own = 0.1 * scale * draw(rngs.params(), (n_documents, settings.dim))
        self.own = nnx.Param(own) if settings.ids else None
        self.terms = None if n_terms is None else nnx.Param(scale * draw(rngs.params(), (n_terms, settings.dim)))

    def __call__(
        self,
        documents: Int[Array, " b"],
        texts: Float[Array, "n v"] | None,
        keep: Float[Array, " b"] | None = None,
    ) -> Float[Array, "b d"]:
        """Vectors of documents; ``keep`` is 0 to drop a document's own vector."""
        parts = []
        if self.own is not None:
            own = self.own[...][documents]
            parts.append(own if keep is None else own * keep[:, None])
        if self.terms is not None and texts is not None:
            parts.append(texts[documents] @ self.terms[...])
        return sum(parts[1:], parts[0])


class _State(NamedTuple):
    params: Any
    adam: Any


class _Data(NamedTuple):
    """Pairs ``[p]`` and their cumulative share; for each document, how often it is drawn, and its tf-idf."""

    first: Any
    second: Any
    cumulative: Any
    log_q: Any
    texts: Any
    has_text: Any


def _data(pairs: Pairs, n_documents: int, texts: np.ndarray | None) -> _Data:
    drawn = np.bincount(pairs.first, pairs.weights, n_documents)
    drawn += np.bincount(pairs.second, pairs.weights, n_documents)
    share = np.maximum(drawn, np.finfo(np.float32).tiny) / drawn.sum()  # a document without a pair is never drawn
    cumulative = np.cumsum(pairs.weights)
    return _Data(
        pairs.first.astype(np.int32),
        pairs.second.astype(np.int32),
        (cumulative / cumulative[-1]).astype(np.float32),
        np.log(share).astype(np.float32),
        None if texts is None else texts.astype(np.float32),
        np.zeros(n_documents, bool) if texts is None else texts.any(axis=1),
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3), donate_argnums=4)
def _steps(settings: Towers, n_steps: int, graphdef, mesh: Mesh, state: _State, data: _Data, key, start):
    """Takes several steps; returns the mean of their losses."""
    b = settings.batch_size
    tx = optax.adam(optax.linear_schedule(settings.learning_rate, 0.0, n_steps))

    def step(i, carry):
        state, total = carry
        keys = jax.random.split(jax.random.fold_in(key, start + i), 3)
        place = jnp.searchsorted(data.cumulative, jax.random.uniform(keys[0], (b,)), side="right")
        place = jnp.minimum(place, len(data.cumulative) - 1)
        one, other = data.first[place], data.second[place]
        # Either document of a pair can be the query.
        turned = jax.random.bernoulli(keys[1], 0.5, (b,))
        ids = jnp.stack([jnp.where(turned, other, one), jnp.where(turned, one, other)], axis=1)
        dropped = jax.random.bernoulli(keys[2], settings.id_dropout, (b, 2)) & data.has_text[ids]
        ids, dropped = jax.lax.with_sharding_constraint((ids, dropped), sharding.by_sample(mesh))

        def loss(params):
            return batch_loss(settings, nnx.merge(graphdef, params), data, ids, dropped)

        value, gradient = jax.value_and_grad(loss)(state.params)
        updates, adam = tx.update(gradient, state.adam, state.params)
        return _State(optax.apply_updates(state.params, updates), adam), total + value

    state, total = jax.lax.fori_loop(0, _DISPATCH, step, (state, jnp.float32(0)))
    return state, total / _DISPATCH


def batch_loss(settings: Towers, tower: Tower, data: _Data, ids: Int[Array, "b 2"], dropped) -> Float[Array, ""]:
    """Loss of a global batch of pairs: the softmax over the batch, and the penalty."""
    keep = 1.0 - dropped.astype(jnp.float32)
    z1, z2 = (tower(ids[:, i], data.texts, keep[:, i]) for i in (0, 1))
    loss = in_batch_softmax(
        z1,
        z2,
        query_ids=ids[:, 0],
        key_ids=ids[:, 1],
        log_q=data.log_q[ids[:, 1]],
        temperature=settings.temperature,
    )
    if tower.own is None:
        return jnp.mean(loss)
    return jnp.mean(loss) + settings.id_penalty * jnp.mean(jnp.sum(tower.own[...][ids] ** 2, axis=(1, 2)))


@functools.partial(jax.jit, static_argnums=0)
def _vectors(graphdef, params, data: _Data):
    z = nnx.merge(graphdef, params)(jnp.arange(len(data.log_q)), data.texts)
    return z / jnp.maximum(jnp.linalg.norm(z, axis=1, keepdims=True), 1e-12)

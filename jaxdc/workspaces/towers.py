"""Vectors of documents, learnt so that those that are used together lie together.

Two towers, one for each document of a pair, that are one network, since being used together has no direction. A
document is the sum of a vector of its own, which only its use can teach, and of a linear map of its tf-idf, which
many documents teach together: where a document is rarely used, its text decides.
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

_DISPATCH = 50  # steps after which the progress is told


@dataclasses.dataclass(frozen=True, kw_only=True)
class Towers:
    """How the vectors are learnt.

    Attributes:
      dim: length of a vector.
      ids: whether a document has a vector of its own.
      temperature: of the softmax over the batch.
      id_penalty: weight of the squared length of the vectors of its own, by which what is rarely seen says little.
      id_dropout: how often a document that has a text is known by it alone.
      epochs: passes over the pairs.
      least_steps: few pairs are passed over more often, until there are so many steps.
      batch_size: pairs a step, over all devices; each stands against all others.
      learning_rate: of Adam at the start; it falls to 0 in a straight line.
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
            raise InputError(f"id_dropout of the towers must be within 0 and 1, but is {self.id_dropout}")

    def n_steps(self, pairs: Pairs) -> int:
        """Steps of a training on these pairs, in whole dispatches."""
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
        """Learns a vector of each document.

        Args:
          pairs: documents that are used together, drawn in proportion to their weights.
          n_documents: how many documents there are.
          texts: tf-idf ``[n, v]`` of each, zeros where there is no text; None: by the use alone.
          seed: of everything random; the same seed gives the same vectors.
          devices: among which each batch is divided; by default all.
          progress: told of the steps.

        Raises:
          InputError: there is neither a vector of its own nor a text, or the batch can't be divided.
        """
        if texts is None and not self.ids:
            raise InputError("towers without vectors of the documents' own need texts")
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
                # Only so often, for it waits: what is told must have been done.
                loss.block_until_ready()
                progress.advance(_DISPATCH)
        vectors = np.array(_vectors(graphdef, state.params, data))
        known = np.zeros(n_documents, bool)
        known[pairs.first] = known[pairs.second] = self.ids
        if texts is not None:
            known |= texts.any(axis=1)
        vectors[~known] = 0.0  # what they began with means nothing
        return Trained(vectors, np.array([float(loss) for loss in losses]))


class Trained(NamedTuple):
    """What the towers have learnt.

    Attributes:
      vectors: of unit length ``[n, d]``; zero where nothing is known of a document.
      losses: mean of each 50 steps.
    """

    vectors: np.ndarray
    losses: np.ndarray


class Tower(nnx.Module):
    """From documents to vectors, not yet of unit length: the loss sees to that.

    Args:
      settings: length of a vector, and whether documents have one of their own.
      n_documents: how many there are.
      n_terms: width of their tf-idf; None where there are no texts.
      rngs: of the initial values.
    """

    def __init__(self, settings: Towers, n_documents: int, n_terms: int | None, *, rngs: nnx.Rngs):
        scale = settings.dim**-0.5
        # Small beside the texts, which are to come first.
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
        """Vectors of documents; ``keep`` is 0 where a document's own vector is left out."""
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
    """Pairs ``[p]`` and their cumulative share; of each document how often it is drawn, and its tf-idf."""

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
    """Some steps, and the mean of their losses."""
    b = settings.batch_size
    tx = optax.adam(optax.linear_schedule(settings.learning_rate, 0.0, n_steps))

    def step(i, carry):
        state, total = carry
        keys = jax.random.split(jax.random.fold_in(key, start + i), 3)
        place = jnp.searchsorted(data.cumulative, jax.random.uniform(keys[0], (b,)), side="right")
        place = jnp.minimum(place, len(data.cumulative) - 1)
        one, other = data.first[place], data.second[place]
        # Either document of a pair may be the one that asks.
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

"""Contrastive losses on pairs (two views of a sample, or two related samples), in the batch or against a queue."""

from __future__ import annotations

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.losses import _checks, _global
from jaxdc.losses._directions import unit


def nt_xent(
    z1: Float[Array, "b d"],
    z2: Float[Array, "b d"],
    *,
    temperature: float = 0.5,
    anchors: Literal["both", "first"] = "both",
    axis_name: str | None = None,
    block_size: int | None = None,
) -> Float[Array, " b"]:
    """Normalised temperature-scaled cross-entropy between two views of the global batch.

    For an anchor i with positive i+: ``-log(exp(s(z_i, z_i+) / t) / sum_j exp(s(z_i, z_j) / t))``, where j
    runs over the 2B - 1 other views of the global batch and s is the cosine: equation (1) of SimCLR
    (Chen et al., 2020, arXiv 2002.05709), and the instance head of Contrastive Clustering (Li et al.,
    2021, arXiv 2009.09687, equation 3). Its mean over the samples is the loss.

    The matrix products run at JAX's default precision, which on a TPU or with TF32 is below float32;
    ``jax.default_matmul_precision`` increases it.

    Args:
      z1: embeddings of the first view ``[b, d]``; they need not be normalised.
      z2: embeddings of the second view ``[b, d]``, with the same samples in the same rows.
      temperature: softmax temperature t, > 0.
      anchors: ``"both"`` takes the mean of the sample's two directions; ``"first"`` uses only the first
        view as anchor, as in SCAN's pretext.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split; every
        sample is then compared with those of all devices.
      block_size: number of samples to compare with at a time, recomputed for the gradient: temporaries of
        ``[2b, 2 block_size]`` instead of ``[2b, 2B]``. None compares with all at once.

    Returns:
      ``[b]`` nats, >= 0, in the order of the samples.

    Raises:
      ValueError: an argument is not a matrix, the shapes differ, or ``temperature``, ``anchors`` or
        ``block_size`` is out of range.

    Example:
      >>> z1, z2 = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> print(nt_xent(z1, z2, temperature=1.0))
      [0.551 0.551]
    """
    z1, z2 = _checks.matrices("z1", z1, "z2", z2)
    _checks.positive("temperature", temperature)
    _checks.one_of("anchors", anchors, ("both", "first"))
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size must be at least 1, but is {block_size}")
    mesh = _global.split_mesh(z1.shape[0], axis_name)
    if mesh is not None:
        settings = {"temperature": temperature, "anchors": anchors, "block_size": block_size}
        return _global.on_each(functools.partial(nt_xent, **settings), mesh, z1, z2)
    z = jnp.stack([unit(z1), unit(z2)])
    keys = _global.all_rows(z, axis_name, axis=1)
    own = _global.row_numbers(z.shape[1], axis_name)
    queries = (z if anchors == "both" else z[:1]) / temperature
    positive = jnp.sum(z[0] * z[1], axis=-1) / temperature
    if block_size is None or block_size >= keys.shape[1]:
        all_others = jax.nn.logsumexp(_with_others(queries, keys, own, 0, keys.shape[1]), axis=(2, 3))
    else:
        all_others = _blocked_logsumexp(queries, keys, own, positive, block_size)
    return jnp.mean(all_others, axis=0) - positive


def _with_others(queries, keys, own, start, n_keys):
    """Scores [views, b, 2, c] of queries with a block of keys; -inf for the query itself and for padding."""
    scores = jnp.einsum("vbd,wcd->vbwc", queries, keys)
    place = start + jnp.arange(keys.shape[1], dtype=jnp.int32)
    same_view = jnp.eye(queries.shape[0], 2, dtype=bool)[:, None, :, None]
    oneself = same_view & (own[:, None] == place[None, :])[None, :, None, :]
    return jnp.where(oneself | (place >= n_keys)[None, None, None, :], -jnp.inf, scores)


def _blocked_logsumexp(queries, keys, own, positive, block_size):
    """Log-sum-exp of all scores [views, b], in blocks of keys in the forward and the backward pass."""
    n_keys = keys.shape[1]
    n_blocks = math.ceil(n_keys / block_size)
    keys = jnp.pad(keys, ((0, 0), (0, n_blocks * block_size - n_keys), (0, 0)))
    blocks = jnp.moveaxis(keys.reshape(2, n_blocks, block_size, -1), 1, 0)

    @jax.checkpoint
    def add(carry, block):
        largest, total = carry
        scores = _with_others(queries, block[0], own, block[1], n_keys)
        new = jnp.maximum(largest, jax.lax.stop_gradient(jnp.max(scores, axis=(2, 3))))
        total = total * jnp.exp(largest - new) + jnp.sum(jnp.exp(scores - new[:, :, None, None]), axis=(2, 3))
        return (new, total), None

    # Any finite start works for the maximum; the positive's score is one of those to come.
    largest = jnp.stack([jax.lax.stop_gradient(positive)] * queries.shape[0])
    starts = block_size * jnp.arange(n_blocks, dtype=jnp.int32)
    (largest, total), _ = jax.lax.scan(add, (largest, jnp.zeros_like(largest)), (blocks, starts))
    return largest + jnp.log(total)


def in_batch_softmax(
    queries: Float[Array, "b d"],
    keys: Float[Array, "b d"],
    *,
    query_ids: Int[Array, " b"] | None = None,
    key_ids: Int[Array, " b"] | None = None,
    log_q: Float[Array, " b"] | None = None,
    temperature: float = 0.1,
    axis_name: str | None = None,
) -> Float[Array, " b"]:
    """Classifies which key in the global batch belongs to a query.

    ``-log(exp(s_ii) / sum_j exp(s_ij))`` with ``s_ij = cos(q_i, k_j) / t - log_q_j``: the sampled softmax used to
    train two-tower models (Yi et al., 2019, "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations", equations 2 to 5). A batch of pairs contains popular items often, and so pushes them away
    from everything; ``log_q`` corrects for that.

    Here queries and keys are items of the same kind, so a key can be a *false negative*: it is the same item as
    the query's own key, or as the query itself. If ids are given, such keys are left out.

    Args:
      queries: embeddings of one item of each pair ``[b, d]``; normalised here.
      keys: embeddings of the other item ``[b, d]``; normalised here.
      query_ids: ids of the queries' items ``[b]``.
      key_ids: ids of the keys' items ``[b]``; required to leave anything out.
      log_q: log of each key's sampling frequency, up to a constant ``[b]``; None: all are equally frequent.
      temperature: softmax temperature t, > 0.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split; every query is
        then compared with the keys of all devices.

    Returns:
      ``[b]`` nats, >= 0, in the order of the pairs; 0 if all other keys are left out.

    Raises:
      ValueError: an argument is not a matrix or no vector, the shapes don't match, ``query_ids`` come without
        ``key_ids``, or ``temperature`` is not positive.

    Example:
      >>> q, k = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
      >>> print(in_batch_softmax(q, k, key_ids=jnp.array([7, 8, 7]), temperature=1.0))
      [0.313 0.551 0.313]
    """
    queries, keys = _checks.matrices("queries", queries, "keys", keys)
    _checks.positive("temperature", temperature)
    if query_ids is not None and key_ids is None:
        raise ValueError("query_ids are compared with key_ids, so key_ids must be given too")
    queries, keys = unit(queries) / temperature, unit(keys)
    scores = queries @ _global.all_rows(keys, axis_name).T
    positive = jnp.sum(queries * keys, axis=1)
    if log_q is not None:
        log_q = _checks.vector("log_q", log_q, ("keys", keys.shape[0]))
        scores = scores - _global.all_rows(log_q, axis_name)[None, :]
        positive = positive - log_q
    if key_ids is not None:
        key_ids = _checks.indices("key_ids", key_ids, ("keys", keys.shape[0]))
        all_ids = _global.all_rows(key_ids, axis_name)[None, :]
        same = key_ids[:, None] == all_ids
        if query_ids is not None:
            same |= _checks.indices("query_ids", query_ids, ("queries", queries.shape[0]))[:, None] == all_ids
        own = _global.row_numbers(queries.shape[0], axis_name)
        other = own[:, None] != jnp.arange(scores.shape[1], dtype=jnp.int32)[None, :]
        scores = jnp.where(same & other, -jnp.inf, scores)
    return jax.nn.logsumexp(scores, axis=1) - positive


def info_nce(
    queries: Float[Array, "b d"],
    keys: Float[Array, "b d"],
    queue: Float[Array, "m d"],
    *,
    temperature: float = 0.2,
    n_filled: Int[Array, ""] | int | None = None,
) -> Float[Array, " b"]:
    """Classifies a query's own key among the entries of a queue.

    ``-log(exp(q.k / t) / (exp(q.k / t) + sum_j exp(q.queue_j / t)))``: equation (1) of MoCo (He et al., 2020,
    arXiv 1911.05722). Each sample's loss depends only on its own row and the queue, so it needs no
    communication between devices.

    Args:
      queries: embeddings of the trained encoder ``[b, d]``; normalised here.
      keys: embeddings by the momentum encoder of the same samples, without gradient in MoCo; normalised here.
      queue: earlier keys ``[m, d]``, stored with unit norm.
      temperature: softmax temperature t, > 0; 0.07 in MoCo, 0.2 in MoCo v2 and PCL.
      n_filled: compare only with this many entries at the start of the queue, while it fills for the first time;
        None: all entries.

    Returns:
      ``[b]`` nats, >= 0; 0 if the queue is still empty.

    Raises:
      ValueError: an argument is not a matrix, the shapes don't match, or ``temperature`` is not positive.

    Example:
      >>> q, queue = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0], [-1.0, 0.0]])
      >>> print(info_nce(q, q, queue, temperature=1.0))
      [0.408]
    """
    queries, keys = _checks.matrices("queries", queries, "keys", keys)
    queue = _checks.matrix("queue", queue, ("queries", queries.shape[1]))
    _checks.positive("temperature", temperature)
    queries = unit(queries) / temperature
    positive = jnp.sum(queries * unit(keys), axis=1)
    negatives = queries @ queue.T
    if n_filled is not None:
        negatives = jnp.where((jnp.arange(queue.shape[0]) < n_filled)[None, :], negatives, -jnp.inf)
    scores = jnp.concatenate([positive[:, None], negatives], axis=1)
    return jax.nn.logsumexp(scores, axis=1) - positive


def update_queue(
    queue: Float[Array, "m *experts d"],
    position: Int[Array, ""] | int,
    keys: Float[Array, "b *experts d"],
    *,
    axis_name: str | None = None,
) -> tuple[Float[Array, "m *experts d"], Int[Array, ""]]:
    """Overwrites the oldest entries of the queue with the keys of the global batch.

    The queue is the dictionary of MoCo (He et al., 2020, arXiv 1911.05722, section 3.2). Its size need
    not be a multiple of the batch: writing wraps around. No gradient flows through it.

    Args:
      queue: current queue ``[m, d]``, or ``[m, k, d]`` with k keys for each sample, as in MiCE; equal on all
        devices.
      position: row of the oldest entry, from 0 to m - 1.
      keys: new keys ``[b, d]`` or ``[b, k, d]``; each is stored with unit norm.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      The new queue, equal on all devices, and the new position (int32).

    Raises:
      ValueError: an argument has fewer axes than a matrix, the widths differ, or the global batch is larger than
        the queue.

    Example:
      >>> queue, position = update_queue(jnp.zeros((3, 1)), 2, jnp.array([[5.0], [-5.0]]))
      >>> print(queue[:, 0], position)
      [-1.  0.  1.] 1
    """
    keys, queue = _checks.widen(jnp.asarray(keys)), jnp.asarray(queue)
    if keys.ndim < 2:
        raise ValueError(f"keys must be at least a matrix [b, d], but its shape is {keys.shape}")
    if queue.shape[1:] != keys.shape[1:]:
        if queue.ndim == keys.ndim == 2:
            _checks.matrix("queue", queue, ("keys", keys.shape[1]))
        raise ValueError(
            f"an entry of queue {list(queue.shape)} has not the shape of one of keys {list(keys.shape)}"
        )
    size = queue.shape[0]
    n = _global.n_rows(keys.shape[0], axis_name)
    if n > size:
        raise ValueError(f"keys has {n} rows in the global batch, more than the queue, which has {size}")
    keys = _global.equal_rows(unit(jax.lax.stop_gradient(keys)), axis_name)
    position = jnp.asarray(position, jnp.int32)
    rows = (position + jnp.arange(n, dtype=jnp.int32)) % size
    return queue.at[rows].set(keys.astype(queue.dtype)), (position + n) % size

"""A mixture of contrastive experts: each sample is told apart by the expert of its cluster."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.losses import _checks
from jaxdc.losses._directions import unit


def contrastive_experts(
    gate_logits: Float[Array, "b k"],
    queries: Float[Array, "b k d"],
    keys: Float[Array, "b k d"],
    prototypes: Float[Array, "k d"],
    queue: Float[Array, "m k d"],
    *,
    temperature: float = 1.0,
    n_filled: Int[Array, ""] | int | None = None,
) -> tuple[Float[Array, " b"], Float[Array, "b k"]]:
    """Negative log-likelihood of a mixture of k experts, and the posterior of the expert.

    The loss of MiCE (Tsai, Li, Zhu, ICLR 2021, arXiv 2105.01899). The gate gives the prior
    ``pi = softmax(gate_logits)``. Expert k finds a query's own key among those of a queue, by its own embeddings
    and around its own prototype::

        phi_k = exp(s_k(key)) / (exp(s_k(key)) + sum_j exp(s_k(queue_j)))
        s_k(v) = v_k . (query_k + prototype_k) / t

    The loss is ``-log sum_k pi_k phi_k``. It equals the paper's evidence bound, because the posterior
    ``pi_k phi_k / sum`` makes that bound tight.

    Args:
      gate_logits: logits of the prior ``[b, k]``.
      queries: embeddings of each sample by each expert ``[b, k, d]``; normalised here.
      keys: embeddings of the same samples by the momentum encoder, without gradient in MiCE; normalised here.
      prototypes: prototype of each expert ``[k, d]``; normalised here.
      queue: earlier keys ``[m, k, d]``, stored with unit norm.
      temperature: softmax temperature t, > 0.
      n_filled: compare only with this many entries at the start of the queue, while it fills for the first time;
        None: all entries.

    Returns:
      The loss ``[b]`` in nats, >= 0, and the log of the posterior ``[b, k]``. With an empty queue the loss is 0,
      and the posterior is the prior.

    Raises:
      ValueError: a shape doesn't match, or ``temperature`` is not positive.

    Example:
      >>> same, other = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
      >>> queries, keys = jnp.array([[same, other]]), jnp.array([[same, same]])
      >>> loss, posterior = contrastive_experts(
      ...     jnp.array([[1.0, -1.0]]), queries, keys, jnp.array([same, other]), jnp.array([[other, other]])
      ... )
      >>> print(loss, jnp.exp(posterior))
      [0.236] [[0.982 0.018]]
    """
    gate_logits = _checks.matrix("gate_logits", gate_logits)
    prototypes = _checks.matrix("prototypes", prototypes)
    _checks.positive("temperature", temperature)
    queries, keys, queue = (_checks.widen(jnp.asarray(x)) for x in (queries, keys, queue))
    b, k = gate_logits.shape
    d = prototypes.shape[1]
    for name, x, shape in (
        ("queries", queries, (b, k, d)),
        ("keys", keys, (b, k, d)),
        ("prototypes", prototypes, (k, d)),
    ):
        if x.shape != shape:
            raise ValueError(f"{name} must have shape {shape} with gate_logits {(b, k)}, but has {x.shape}")
    if queue.shape[1:] != (k, d):
        raise ValueError(f"queue must have shape [m, {k}, {d}], but has {list(queue.shape)}")
    towards = (unit(queries) + unit(prototypes)[None]) / temperature
    positive = jnp.sum(towards * unit(keys), axis=2)
    negatives = jnp.einsum("bkd,mkd->bkm", towards, queue, precision=jax.lax.Precision.HIGHEST)
    if n_filled is not None:
        negatives = jnp.where((jnp.arange(queue.shape[0]) < n_filled)[None, None, :], negatives, -jnp.inf)
    scores = jnp.concatenate([positive[:, :, None], negatives], axis=2)
    joint = jax.nn.log_softmax(gate_logits, axis=1) + positive - jax.nn.logsumexp(scores, axis=2)
    evidence = jax.nn.logsumexp(joint, axis=1)
    return -evidence, joint - evidence[:, None]

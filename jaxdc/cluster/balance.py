"""Equal weight for all clusters: in sampling, and in labels."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.cluster import _checks


def balanced_order(key: jax.Array, labels: Int[Array, " n"], n_clusters: int) -> Int[Array, " n"]:
    """Draws as many samples as there are, uniformly over the non-empty clusters.

    DeepCluster (Caron et al., 2018, arXiv 1807.05520, section 3.2, "trivial parametrization") trains on such
    epochs, so that a few big clusters do not dominate the loss. Each non-empty cluster gets an equal share
    of the n draws, to within one. A cluster that is large enough contributes distinct samples; samples of a
    smaller one are repeated, each as often as the others to within one (the paper's code draws them with
    replacement).

    Args:
      key: a ``jax.random.key``.
      labels: cluster of each sample ``[n]``, integers from 0 to k - 1.
      n_clusters: number of clusters k; some may be empty.

    Returns:
      int32 rows ``[n]``, shuffled.

    Raises:
      ValueError: ``labels`` is not a vector of integers, or contains a cluster out of range.

    Example:
      >>> labels = jnp.array([0, 0, 0, 0, 0, 2])
      >>> print(jnp.bincount(labels[balanced_order(jax.random.key(0), labels, 3)]))
      [3 0 3]
    """
    _checks.at_least("n_clusters", n_clusters, 1)
    return _balanced_order(key, _checks.labels("labels", labels, n_clusters), n_clusters)


@functools.partial(jax.jit, static_argnames="n_clusters")
def _balanced_order(key, labels, n_clusters):
    n = labels.shape[0]
    within_key, rank_key, order_key = jax.random.split(key, 3)
    # Sorted by cluster, shuffled within each: the draws of a cluster are the first ones of its stretch.
    rows = jnp.lexsort((jax.random.permutation(within_key, n), labels))
    sizes = jnp.bincount(labels, length=n_clusters)
    starts = jnp.cumsum(sizes) - sizes
    some = sizes > 0
    n_some = jnp.maximum(jnp.sum(some), 1)
    # Which clusters get one extra draw is random: the first of the shuffled non-empty ones.
    shuffled = jax.random.permutation(rank_key, n_clusters)
    rank = jnp.zeros(n_clusters, jnp.int32).at[shuffled].set(jnp.cumsum(some[shuffled]) - 1)
    draws = jnp.where(some, n // n_some + (rank < n % n_some), 0)
    ends = jnp.cumsum(draws)
    cluster = jnp.searchsorted(ends, jnp.arange(n), side="right")
    nth = jnp.arange(n) - (ends - draws)[cluster]
    drawn = rows[starts[cluster] + nth % sizes[cluster]]
    return jax.random.permutation(order_key, drawn).astype(jnp.int32)


class BalancedLabels(NamedTuple):
    """Labels of clusters of equal size, and how far the soft sizes are from equal, as a share of one."""

    labels: Int[Array, " n"]
    deviation: Float[Array, ""]


def balanced_labels(
    log_probs: Float[Array, "n k"], *, sharpness: float = 25.0, tolerance: float = 1e-3, max_rounds: int = 1000
) -> BalancedLabels:
    """The most likely labels that fill all clusters equally.

    ``Q = diag(u) P^sharpness diag(v)`` whose rows sum to 1/n and whose columns to 1/k, found by the Sinkhorn-Knopp
    algorithm; a sample's label is the largest entry of its row: equations (7) and (8) of self-labelling (Asano,
    Rupprecht and Vedaldi, 2020, arXiv 1911.05371), over the whole data set. Computed with logarithms: powers of
    small probabilities are 0 in float32. The released code stops when the row factors change little, in float64;
    here each column's mass decides.

    Args:
      log_probs: logarithms of the probabilities of each cluster ``[n, k]``; a constant in a row has no effect.
      sharpness: inverse of the entropy regularisation, > 0; for large values Q itself is all but hard.
      tolerance: stop if no column's mass is further than this share of 1/k from it.
      max_rounds: stop after as many rounds.

    Returns:
      ``BalancedLabels``: int32 labels ``[n]``, equally many of each up to what rounding to hard labels costs, and
      the largest deviation of a column's mass from 1/k, as a share of it.

    Raises:
      ValueError: ``log_probs`` is not a matrix, or a number is not positive.

    Example:
      >>> found = balanced_labels(jnp.log(jnp.array([[0.9, 0.1], [0.8, 0.2]])))
      >>> print(found.labels)
      [0 1]
    """
    log_probs = _checks.matrix("log_probs", log_probs)
    for name, value in (("sharpness", sharpness), ("tolerance", tolerance)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, but is {value}")
    _checks.at_least("max_rounds", max_rounds, 1)
    return _balanced_labels(log_probs, sharpness, tolerance, max_rounds)


@jax.jit
def _balanced_labels(log_probs, sharpness, tolerance, max_rounds):
    scores = sharpness * _checks.wide(log_probs)
    n, k = scores.shape

    def one_round(carry):
        v, _, rounds = carry
        u = -jnp.log(n) - jax.nn.logsumexp(scores + v[None, :], axis=1)
        log_mass = v + jax.nn.logsumexp(scores + u[:, None], axis=0)
        surplus = log_mass + jnp.log(k)
        return v - surplus, jnp.max(jnp.abs(jnp.expm1(surplus))), rounds + 1

    def goes_on(carry):
        _, deviation, rounds = carry
        return (deviation > tolerance) & (rounds < max_rounds)

    start = (jnp.zeros(k, scores.dtype), jnp.array(jnp.inf, scores.dtype), jnp.array(0))
    v, deviation, _ = jax.lax.while_loop(goes_on, one_round, start)
    return BalancedLabels(jnp.argmax(scores + v[None, :], axis=1).astype(jnp.int32), deviation)

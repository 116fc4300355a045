"""Cluster-level losses, which compare the columns of two assignment matrices.

All are functions of the ``[k, k]`` products of these columns, summed over the global batch, so their cost
does not grow with the number of devices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.losses import _checks, _global
from jaxdc.losses._directions import cosines


def cluster_nt_xent(
    probs1: Float[Array, "b k"],
    probs2: Float[Array, "b k"],
    *,
    temperature: float = 1.0,
    axis_name: str | None = None,
) -> Float[Array, " k"]:
    """Contrasts clusters: the two views of a cluster against all other clusters.

    NT-Xent over the 2k columns of the assignment matrices, where each column represents its cluster,
    with cosine similarity: equation (5) of Contrastive Clustering (Li et al., 2021, arXiv
    2009.09687). Its mean is the paper's cluster loss without the entropy, which is ``mean_entropy``.

    Args:
      probs1: soft assignment of the first view ``[b, k]``, rows summing to 1.
      probs2: soft assignment of the second view ``[b, k]``.
      temperature: softmax temperature, > 0; 1 in the paper.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      ``[k]`` nats, >= 0, the mean over the cluster's two directions; equal on all devices. A zero column has
      cosine 0 with all others.

    Raises:
      ValueError: an argument is not a matrix, the shapes differ, or ``temperature`` is not positive.

    Example:
      >>> one_hot = jnp.eye(2)
      >>> print(cluster_nt_xent(one_hot, one_hot))
      [0.551 0.551]
    """
    probs1, probs2 = _checks.matrices("probs1", probs1, "probs2", probs2)
    _checks.positive("temperature", temperature)
    k = probs1.shape[1]
    columns = jnp.concatenate([probs1, probs2], axis=1)
    scores = cosines(_global.gram(columns, columns, axis_name)) / temperature
    positive = jnp.diagonal(scores, offset=k)
    others = jnp.where(jnp.eye(2 * k, dtype=bool), -jnp.inf, scores)
    return jnp.mean(jax.nn.logsumexp(others, axis=1).reshape(2, k), axis=0) - positive


def mean_entropy(probs: Float[Array, "b k"], *, axis_name: str | None = None) -> Float[Array, ""]:
    """Entropy of the mean assignment over the global batch; maximise it against collapse.

    ``H = -sum_k P_k log P_k`` with ``P_k = sum_i probs_ik / sum_ij probs_ij``: the balance term of Contrastive
    Clustering (Li et al., 2021, arXiv 2009.09687, equation 6) and of SCAN (Van Gansbeke et al., 2020,
    arXiv 2005.12320, equation 2). Subtract it from a loss.

    Args:
      probs: soft assignment ``[b, k]``, rows summing to 1.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      A scalar in nats, from 0 (all in one cluster) to ln k (balanced); equal on all devices.

    Raises:
      ValueError: ``probs`` is not a matrix.

    Example:
      >>> print(mean_entropy(jnp.array([[1.0, 0.0], [0.0, 1.0]])))
      0.693
    """
    return -_negative_entropy(_mean_assignment(_checks.matrix("probs", probs), axis_name))


def information_maximisation(
    probs: Float[Array, "b k"], *, mu: float = 4.0, axis_name: str | None = None
) -> Float[Array, ""]:
    """Sure assignments to clusters of even size: the mean entropy, less ``mu`` times the entropy of the mean.

    ``mean_i H(p_i) - mu H(mean_i p_i)``: for ``mu = 1`` minus the mutual information of sample and cluster, as in
    RIM (Krause et al., 2010). IMSAT (Hu et al., 2017, arXiv 1702.08720) and Kingdra (Gupta et al., 2020) have 4.

    Args:
      probs: soft assignment ``[b, k]``, rows summing to 1.
      mu: weight of the entropy of the mean; larger values favour even clusters.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      A scalar in nats, at least ``-mu ln k``; equal on all devices.

    Raises:
      ValueError: ``probs`` is not a matrix.

    Example:
      >>> print(information_maximisation(jnp.eye(2), mu=1.0))
      -0.693
    """
    probs = _checks.matrix("probs", probs)
    n = _global.n_rows(probs.shape[0], axis_name)
    entropy = -_global.total(_negative_entropy(probs), axis_name) / n
    return entropy - mu * mean_entropy(probs, axis_name=axis_name)


def mutual_information(
    probs1: Float[Array, "b k"],
    probs2: Float[Array, "b k"],
    *,
    lamb: float = 1.0,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Negative mutual information between the assignments of two views.

    ``-sum_ab P_ab (log P_ab - lamb log P_a - lamb log P_b)`` with the joint ``P = sum_i p_i p'_i^T``,
    symmetrised and divided by its sum: equation (3) of IIC (Ji et al., 2019, arXiv 1807.06653).

    Args:
      probs1: soft assignment of the first view ``[b, k]``, rows summing to 1.
      probs2: soft assignment of the second view ``[b, k]``.
      lamb: weight of the marginal entropies; values above 1 favour balance.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      A scalar in nats, at least ``-ln k`` for ``lamb = 1``; equal on all devices.

    Raises:
      ValueError: an argument is not a matrix, or the shapes differ.

    Example:
      >>> print(mutual_information(jnp.eye(2), jnp.eye(2)))
      -0.693
    """
    probs1, probs2 = _checks.matrices("probs1", probs1, "probs2", probs2)
    joint = _global.gram(probs1, probs2, axis_name)
    joint = _distribution(joint + joint.T)
    marginal = jnp.sum(joint, axis=1)
    # The symmetric joint has two equal marginals.
    return 2.0 * lamb * _negative_entropy(marginal) - _negative_entropy(joint)


def partition_uncertainty(
    probs1: Float[Array, "b k"],
    probs2: Float[Array, "b k"],
    *,
    lamb: float = 2.0,
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """How far the clusters of two views are from a one-to-one match with equal sizes.

    Row-wise cross-entropy of the cosines between column a of the first view and column b of the
    second, with the diagonal as target, plus ``lamb (log k + sum_a P_a log P_a)`` with the mean
    assignment P of the first view: equations (6) and (9) of PICA (Huang et al., 2020, CVPR).

    Args:
      probs1: soft assignment of the first view ``[b, k]``, rows summing to 1.
      probs2: soft assignment of the second view ``[b, k]``.
      lamb: weight of the balance term.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      A scalar in nats, >= 0; equal on all devices.

    Raises:
      ValueError: an argument is not a matrix, or the shapes differ.

    Example:
      >>> print(partition_uncertainty(jnp.eye(2), jnp.eye(2)))
      0.313
    """
    probs1, probs2 = _checks.matrices("probs1", probs1, "probs2", probs2)
    k = probs1.shape[1]
    columns = jnp.concatenate([probs1, probs2], axis=1)
    scores = cosines(_global.gram(columns, columns, axis_name))[:k, k:]
    cross_entropy = jax.nn.logsumexp(scores, axis=1) - jnp.diagonal(scores)
    balance = jnp.log(k) + _negative_entropy(_mean_assignment(probs1, axis_name))
    return jnp.mean(cross_entropy) + lamb * balance


def _mean_assignment(probs, axis_name):
    return _distribution(_global.total(jnp.sum(probs, axis=0), axis_name))


def _distribution(weights):
    """Weights divided by their sum; zeros stay zero."""
    total = jnp.sum(weights)
    some = total > jnp.finfo(weights.dtype).tiny
    return jnp.where(some, weights / jnp.where(some, total, 1.0), 0.0)


def _negative_entropy(p):
    """``sum p log p`` with ``0 log 0 = 0``, and no gradient for a probability of 0."""
    some = p > jnp.finfo(p.dtype).tiny
    return jnp.sum(jnp.where(some, p * jnp.log(jnp.where(some, p, 1.0)), 0.0))

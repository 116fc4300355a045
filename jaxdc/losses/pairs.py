"""Clustering as classification of pairs: two samples are of one cluster, or they are not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.losses import _checks, _global
from jaxdc.losses._directions import unit

LEAST = 1e-7  # what a similarity keeps from 0 and from 1, whose logarithms are infinite


def pair_cross_entropy(
    probs: Float[Array, "b k"],
    teacher_probs: Float[Array, "b k"],
    *,
    upper: float | jax.Array,
    lower: float | jax.Array,
    axis_name: str | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Lets pairs of which the teacher is sure be of one cluster, or of two.

    With ``s_ij`` the cosine of two assignments and ``t_ij`` that of the teacher's, the mean of ``-log s_ij`` over
    the pairs with ``t_ij > upper`` and of ``-log(1 - s_ij)`` over those with ``t_ij <= lower``: the objective of
    DAC (Chang et al., ICCV 2017). The pairs between are left out, and so is a sample with itself. Cosines are kept
    1e-7 away from 0 and 1.

    Args:
      probs: assignments that learn ``[b, k]``, none negative; of any length.
      teacher_probs: assignments of the same samples that say which pairs are alike, without gradient; they may be
        ``probs`` themselves.
      upper: cosine above which two samples are alike, from 0 to 1; may be traced.
      lower: cosine up to which they are not, at most ``upper``; the same number leaves no pair out.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      The loss in nats (0 if no pair is used) and the share of the pairs that are used; scalars of the global
      batch, equal on all devices.

    Raises:
      ValueError: an argument is no matrix, the shapes differ, or not ``0 <= lower <= upper <= 1``.

    Example:
      >>> probs = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
      >>> loss, share = pair_cross_entropy(probs, probs, upper=0.75, lower=0.475)
      >>> print(loss, share)
      0.112 0.667
    """
    probs, teacher = _checks.matrices("probs", probs, "teacher_probs", teacher_probs)
    _checks.fraction("upper", upper)
    _checks.fraction("lower", lower)
    _checks.at_most("lower", lower, "upper", upper)
    similar = jnp.clip(_products(unit(probs), axis_name), LEAST, 1 - LEAST)
    given = _products(unit(jax.lax.stop_gradient(teacher)), axis_name)
    n_local, n = given.shape
    others = _global.row_numbers(n_local, axis_name)[:, None] != jnp.arange(n, dtype=jnp.int32)[None, :]
    alike, apart = (given > upper) & others, (given <= lower) & others
    cross_entropy = jnp.where(alike, -jnp.log(similar), jnp.where(apart, -jnp.log1p(-similar), 0.0))
    n_used = _global.total(jnp.sum(alike | apart, dtype=given.dtype), axis_name)
    loss = _global.total(jnp.sum(cross_entropy), axis_name) / jnp.maximum(n_used, 1.0)
    return loss, n_used / max(n * (n - 1), 1)


def one_hot_cross_entropy(
    probs: Float[Array, "b k"],
    teacher_probs: Float[Array, "b k"],
    *,
    threshold: float = 0.9,
) -> Float[Array, " b"]:
    """Lets an assignment be one-hot where the teacher is sure of it.

    ``w (-log p_y - sum_{c != y} log(1 - p_c)) / k``: the mean over the clusters of the binary cross-entropies
    with the teacher's one-hot label y, for the samples (w = 1) of which it is sure; the others cost 0. The label
    term of DCCM (Wu et al., ICCV 2019, arXiv 1904.06925). Probabilities are kept 1e-7 away from 0 and 1.

    Args:
      probs: assignments that learn ``[b, k]``, rows summing to 1.
      teacher_probs: assignments of the same samples that give the labels, without gradient.
      threshold: probability from which a label counts, from 0 to 1.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: an argument is no matrix, the shapes differ, or ``threshold`` is not from 0 to 1.

    Example:
      >>> print(one_hot_cross_entropy(jnp.array([[0.9, 0.1]]), jnp.array([[1.0, 0.0]])))
      [0.105]
    """
    probs, teacher = _checks.matrices("probs", probs, "teacher_probs", teacher_probs)
    _checks.fraction("threshold", threshold)
    teacher = jax.lax.stop_gradient(teacher)
    own = jnp.argmax(teacher, axis=1)[:, None] == jnp.arange(teacher.shape[1])[None, :]
    p = jnp.clip(probs, LEAST, 1 - LEAST)
    costs = -jnp.mean(jnp.where(own, jnp.log(p), jnp.log1p(-p)), axis=1)
    return jnp.where(jnp.max(teacher, axis=1) >= threshold, costs, 0.0)


def jensen_shannon(
    positive_scores: Float[Array, "b p"], negative_scores: Float[Array, "b p"]
) -> Float[Array, " b"]:
    """Lets a critic tell pairs that belong together from pairs that do not.

    ``mean_p log(1 + exp(-T_p)) + mean_p log(1 + exp(T'_p))``: the negative of the Jensen-Shannon estimate of the
    mutual information in Deep InfoMax (Hjelm et al., 2019, arXiv 1808.06670, equation 4). In DCCM (Wu et al.,
    2019, arXiv 1904.06925) a pair is of an image's features and a place of a map, of that image or of another.

    Args:
      positive_scores: scores T of the pairs that belong together ``[b, p]``, any real numbers.
      negative_scores: scores T' of those that do not ``[b, p]``.

    Returns:
      ``[b]`` nats, >= 0; 2 ln 2 if the critic knows nothing.

    Raises:
      ValueError: an argument is no matrix, or the shapes differ.

    Example:
      >>> print(jensen_shannon(jnp.zeros((1, 4)), jnp.zeros((1, 4))))
      [1.386]
    """
    positive, negative = _checks.matrices("positive_scores", positive_scores, "negative_scores", negative_scores)
    return jnp.mean(jax.nn.softplus(-positive) + jax.nn.softplus(negative), axis=1)


def _products(rows, axis_name):
    """Products of these rows with all rows of the global batch: [b, d] -> [b, n]."""
    return jnp.matmul(rows, _global.all_rows(rows, axis_name).T, precision=jax.lax.Precision.HIGHEST)

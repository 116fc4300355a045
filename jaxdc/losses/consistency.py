"""Losses that put samples into the same cluster as their neighbours or their weakly augmented views."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.losses import _checks, _global


def neighbor_consistency(
    anchor_logits: Float[Array, "b k"], neighbor_logits: Float[Array, "b k"]
) -> Float[Array, " b"]:
    """Makes two neighbours confidently share a cluster.

    ``-log <softmax(a), softmax(n)>``, computed from the logits: the first term of equation (2) of SCAN (Van
    Gansbeke et al., 2020, arXiv 2005.12320). The full loss is its mean minus ``mean_entropy`` times a weight (5 in
    the paper).

    Args:
      anchor_logits: logits of the samples ``[b, k]``.
      neighbor_logits: logits of one neighbour of each sample ``[b, k]``.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: an argument is not a matrix, or the shapes differ.

    Example:
      >>> print(neighbor_consistency(jnp.zeros((1, 2)), jnp.zeros((1, 2))))
      [0.693]
    """
    a, n = _checks.matrices("anchor_logits", anchor_logits, "neighbor_logits", neighbor_logits)
    return -jax.nn.logsumexp(jax.nn.log_softmax(a, axis=1) + jax.nn.log_softmax(n, axis=1), axis=1)


def confident_cross_entropy(
    weak_logits: Float[Array, "b k"],
    strong_logits: Float[Array, "b k"],
    *,
    threshold: float = 0.99,
    class_balanced: bool = True,
    axis_name: str | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Trains a strongly augmented view with the confident labels of the plain view.

    Cross-entropy over the samples whose plain view has a maximum probability above the threshold: SCAN's
    self-labelling (Van Gansbeke et al., 2020, arXiv 2005.12320, section 2.3). With class balancing, a sample of
    class c has weight ``n / n_c``, counted among the confident ones in the global batch, and the sum is divided
    by the sum of the weights.

    Args:
      weak_logits: logits of the plain or weakly augmented view ``[b, k]``, which give the labels, without
        gradient.
      strong_logits: logits of the strongly augmented view ``[b, k]``, which are trained.
      threshold: probability above which a label counts, from 0 to 1.
      class_balanced: weight all occurring classes equally.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      The loss in nats (0 if no sample is confident), and the share of confident samples in the global
      batch; scalars, equal on all devices.

    Raises:
      ValueError: an argument is not a matrix, the shapes differ, or ``threshold`` is not from 0 to 1.

    Example:
      >>> weak, strong = jnp.array([[9.0, 0.0], [0.1, 0.0]]), jnp.zeros((2, 2))
      >>> loss, share = confident_cross_entropy(weak, strong)
      >>> print(loss, share)
      0.693 0.5
    """
    weak, strong = _checks.matrices("weak_logits", weak_logits, "strong_logits", strong_logits)
    _checks.fraction("threshold", threshold)
    probs = jax.lax.stop_gradient(jax.nn.softmax(weak, axis=1))
    confident = jnp.max(probs, axis=1) > threshold
    classes = jnp.arange(probs.shape[1])
    # Rows of samples below the threshold are all zero.
    chosen = (jnp.argmax(probs, axis=1)[:, None] == classes[None, :]) & confident[:, None]
    cross_entropy = -jnp.sum(jnp.where(chosen, jax.nn.log_softmax(strong, axis=1), 0.0), axis=1)

    counts = _global.total(jnp.sum(chosen, axis=0, dtype=probs.dtype), axis_name)
    n_confident = jnp.sum(counts)
    if class_balanced:
        class_weights = jnp.where(counts > 0, n_confident / jnp.maximum(counts, 1.0), 0.0)
    else:
        class_weights = jnp.ones_like(counts)
    weights = jnp.sum(chosen * class_weights[None, :], axis=1)
    weight = jnp.sum(counts * class_weights)
    loss = _global.total(jnp.sum(weights * cross_entropy), axis_name) / jnp.where(weight > 0, weight, 1.0)
    return loss, n_confident / _global.n_rows(probs.shape[0], axis_name)


def temi(
    student_logits: Float[Array, "b k"],
    student_neighbor_logits: Float[Array, "b k"],
    teacher_logits: Float[Array, "b k"],
    teacher_neighbor_logits: Float[Array, "b k"],
    marginal: Float[Array, " k"],
    *,
    weights: Float[Array, " b"] | None = None,
    beta: float = 0.6,
) -> Float[Array, " b"]:
    """Weighted pointwise mutual information of neighbours, between a student and a teacher.

    ``-w (pmi(s, t') + pmi(s', t)) / 2`` with ``pmi(s, t) = log sum_c (s_c t_c)^beta / marginal_c``, where s and t
    are the softmaxes of a sample's logits, s' and t' those of its neighbour's: TEMI (Adaloglou et al., 2023, arXiv
    2303.17896). The weight ``w = sum_c t_c t'_c`` is small if the teacher does not treat the two as neighbours; an
    ensemble of heads takes its mean over the heads. The marginal, tracked by ``update_marginal``, spreads the
    samples over the clusters.

    Args:
      student_logits: logits of the samples ``[b, k]``, divided by the temperature.
      student_neighbor_logits: logits of one neighbour of each sample ``[b, k]``.
      teacher_logits: the teacher's logits of the samples, without gradient, like everything from the teacher.
      teacher_neighbor_logits: the teacher's logits of the neighbours.
      marginal: probability of each cluster under the teacher ``[k]``.
      weights: weights of the pairs ``[b]``; None computes them from this teacher alone.
      beta: exponent from 0 to 1; below 1 it keeps heads from using fewer clusters than there are.

    Returns:
      ``[b]`` nats, negative if neighbours agree.

    Raises:
      ValueError: the shapes don't match, or ``beta`` is not from 0 to 1.

    Example:
      >>> sure = jnp.array([[9.0, 0.0], [0.0, 9.0]])
      >>> print(temi(sure, sure, sure, sure, jnp.array([0.5, 0.5])))
      [-0.693 -0.693]
    """
    s1, s2 = _checks.matrices("student_logits", student_logits, "student_neighbor_logits", student_neighbor_logits)
    t1, t2 = _checks.matrices("teacher_logits", teacher_logits, "teacher_neighbor_logits", teacher_neighbor_logits)
    _checks.same_shape("student_logits", s1, "teacher_logits", t1)
    _checks.fraction("beta", beta)
    marginal = _marginal(marginal, ("student_logits", s1.shape[1]))
    s1, s2 = jax.nn.log_softmax(s1, axis=1), jax.nn.log_softmax(s2, axis=1)
    t1, t2 = (jax.lax.stop_gradient(jax.nn.log_softmax(t, axis=1)) for t in (t1, t2))
    if weights is None:
        weights = jnp.sum(jnp.exp(t1 + t2), axis=1)
    elif jnp.shape(weights) != s1.shape[:1]:
        raise ValueError(f"weights must have shape {s1.shape[:1]}, but has {jnp.shape(weights)}")
    log_marginal = jnp.log(jnp.maximum(marginal, jnp.finfo(marginal.dtype).tiny))[None, :]
    pmi = jax.nn.logsumexp(beta * (s1 + t2) - log_marginal, axis=1)
    pmi += jax.nn.logsumexp(beta * (s2 + t1) - log_marginal, axis=1)
    return -0.5 * jax.lax.stop_gradient(weights) * pmi


def update_marginal(
    marginal: Float[Array, " k"],
    probs: Float[Array, "b k"],
    *,
    momentum: float = 0.9,
    axis_name: str | None = None,
) -> Float[Array, " k"]:
    """``momentum * marginal + (1 - momentum) * mean of probs``: a running average of the cluster shares.

    Args:
      marginal: current marginal ``[k]``; start with a uniform one.
      probs: assignments of the batch ``[b, k]``, rows summing to 1; they receive no gradient.
      momentum: weight of the old marginal, from 0 to 1.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      The new marginal ``[k]``, for the global batch; equal on all devices.

    Raises:
      ValueError: the shapes don't match, or ``momentum`` is not from 0 to 1.

    Example:
      >>> print(update_marginal(jnp.array([0.5, 0.5]), jnp.array([[1.0, 0.0], [1.0, 0.0]])))
      [0.55 0.45]
    """
    probs = jax.lax.stop_gradient(_checks.matrix("probs", probs))
    marginal = _marginal(marginal, ("probs", probs.shape[1]))
    _checks.fraction("momentum", momentum)
    mean = _global.total(jnp.sum(probs, axis=0), axis_name) / _global.n_rows(probs.shape[0], axis_name)
    return momentum * marginal + (1 - momentum) * mean


def _marginal(marginal, columns):
    marginal = jnp.asarray(marginal)
    if marginal.shape != (columns[1],):
        raise ValueError(
            f"marginal must have shape ({columns[1]},), one value per column of {columns[0]}, "
            f"but has {marginal.shape}"
        )
    return jax.lax.stop_gradient(_checks.widen(marginal))

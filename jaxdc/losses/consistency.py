"""Samples and their neighbours, or their own easier view, should fall into one cluster."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.losses import _checks, _global


def neighbor_consistency(
    anchor_logits: Float[Array, "b k"], neighbor_logits: Float[Array, "b k"]
) -> Float[Array, " b"]:
    """Two neighbours should be confidently in one cluster.

    ``-log <softmax(a), softmax(n)>``, computed from the logits: the first term of equation (2) of SCAN (Van
    Gansbeke et al., 2020, arXiv 2005.12320). The whole loss is its mean minus a weight (5 in the paper) times
    ``mean_entropy``.

    Args:
      anchor_logits: of the samples ``[b, k]``, before the softmax.
      neighbor_logits: of one neighbour of each.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: an argument is no matrix, or the shapes differ.

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
    """Lets a strongly augmented view learn the label of which the plain view is confident.

    Cross-entropy over the samples whose plain view has a largest probability above the threshold: SCAN's
    self-labelling (Van Gansbeke et al., 2020, arXiv 2005.12320, section 2.3). Balanced, a sample of
    class c weighs ``n / n_c``, counted among the confident ones of the global batch, and the sum is divided
    by that of the weights.

    Args:
      weak_logits: of the plain or weakly augmented view ``[b, k]``; they give the labels, without gradient.
      strong_logits: of the strongly augmented view; they learn.
      threshold: probability above which a label counts, from 0 to 1.
      class_balanced: weigh every class that occurs alike.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      The loss in nats (0 where no sample is confident), and the share of confident samples in the
      global batch; scalars, equal on all devices.

    Raises:
      ValueError: an argument is no matrix, the shapes differ, or ``threshold`` is not within 0 and 1.

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
    # Rows of samples that are not confident are all zero.
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
    """Weighted pointwise mutual information of neighbours, between a student and its teacher.

    ``-w (pmi(s, t') + pmi(s', t)) / 2`` with ``pmi(s, t) = log sum_c (s_c t_c)^beta / marginal_c``, where s and t
    are the softmaxes of a sample's logits, s' and t' those of its neighbour's: TEMI (Adaloglou et al., 2023, arXiv
    2303.17896). The weight ``w = sum_c t_c t'_c`` is small where the teacher holds the two for no neighbours; an
    ensemble of heads takes its mean over the heads. The marginal, which ``update_marginal`` follows, spreads the
    clusters.

    Args:
      student_logits: of the samples ``[b, k]``, divided by the temperature.
      student_neighbor_logits: of one neighbour of each.
      teacher_logits: of the samples, by the teacher; without gradient, as all that comes from it.
      teacher_neighbor_logits: of the neighbours.
      marginal: probability of each cluster under the teacher ``[k]``.
      weights: ``[b]``; None takes those of this teacher alone.
      beta: from 0 to 1; below 1 it holds the heads back from fewer clusters than there are.

    Returns:
      ``[b]`` nats, negative where neighbours agree.

    Raises:
      ValueError: the shapes do not fit one another, or ``beta`` is not within 0 and 1.

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
        raise ValueError(f"weights must have shape {s1.shape[:1]}, but have {jnp.shape(weights)}")
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
    """``momentum * marginal + (1 - momentum) * mean of probs``: how often each cluster is taken, as training goes.

    Args:
      marginal: so far ``[k]``; uniform at first.
      probs: assignments of the batch ``[b, k]``, rows summing to 1; no gradient flows back to them.
      momentum: share of the old, from 0 to 1.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      The new ``[k]``, of the global batch; equal on all devices.

    Raises:
      ValueError: the shapes do not fit, or ``momentum`` is not within 0 and 1.

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
            f"marginal must have shape ({columns[1]},), as {columns[0]} has columns, but has {marginal.shape}"
        )
    return jax.lax.stop_gradient(_checks.widen(marginal))

"""Soft assignments of samples to clusters, and the targets that sharpen them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.losses import _checks, _global


def student_t_assignment(
    z: Float[Array, "n d"], centroids: Float[Array, "k d"], *, alpha: float = 1.0
) -> Float[Array, "n k"]:
    """Soft assignment q with a Student's t kernel around each centroid.

    ``q_ij = (1 + |z_i - mu_j|^2 / alpha)^(-(alpha + 1) / 2)``, each row divided by its sum:
    equation (1) of DEC (Xie et al., 2016, arXiv 1511.06335).

    Args:
      z: embeddings ``[n, d]``, in the unit of ``centroids``.
      centroids: cluster means ``[k, d]``.
      alpha: degrees of freedom of the t distribution, > 0. DEC uses 1.

    Returns:
      Probabilities ``[n, k]``; every row sums to 1.

    Raises:
      ValueError: an argument is not a matrix, the widths differ, or ``alpha`` is not positive.

    Example:
      >>> q = student_t_assignment(jnp.array([[0.0], [1.0]]), jnp.array([[0.0], [1.0]]))
      >>> print(q)
      [[0.667 0.333]
       [0.333 0.667]]
    """
    z = _checks.matrix("z", z)
    centroids = _checks.matrix("centroids", centroids, ("z", z.shape[1]))
    _checks.positive("alpha", alpha)
    # Differences instead of |z|^2 - 2 z.mu + |mu|^2, which cancels near a centroid.
    squared_distances = jnp.sum((z[:, None, :] - centroids[None, :, :]) ** 2, axis=-1)
    logits = -0.5 * (alpha + 1.0) * jnp.log1p(squared_distances / alpha)
    return jax.nn.softmax(logits, axis=-1)


def target_distribution(
    q: Float[Array, "n k"],
    *,
    cluster_frequency: Float[Array, " k"] | None = None,
    axis_name: str | None = None,
) -> Float[Array, "n k"]:
    """Target p that sharpens q and balances the clusters.

    ``p_ij = (q_ij^2 / f_j) / sum_j' (q_ij'^2 / f_j')`` with ``f_j = sum_i q_ij``: equation (3) of
    DEC (Xie et al., 2016, arXiv 1511.06335). There ``q`` covers the WHOLE data set; for a part of it,
    pass the ``cluster_frequency`` of the whole.

    Args:
      q: soft assignment ``[n, k]``, rows summing to 1.
      cluster_frequency: ``f [k]``, in samples (default: the column sums of ``q``).
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the samples are split;
        the column sums then cover all devices.

    Returns:
      Probabilities ``[n, k]``; every row sums to 1. Unused clusters get 0.

    Raises:
      ValueError: ``q`` is not a matrix, or ``cluster_frequency`` does not have ``k`` values.

    Example:
      >>> print(target_distribution(jnp.array([[0.8, 0.2], [0.4, 0.6]])))
      [[0.914 0.086]
       [0.229 0.771]]
    """
    q = _checks.matrix("q", q)
    if cluster_frequency is None:
        frequency = _global.total(jnp.sum(q, axis=0), axis_name)
    elif cluster_frequency.shape != q.shape[1:]:
        raise ValueError(f"cluster_frequency must have shape {q.shape[1:]}, but has {cluster_frequency.shape}")
    else:
        frequency = cluster_frequency
    tiny = jnp.finfo(q.dtype).tiny
    used = frequency > tiny
    weight = jnp.where(used[None, :], q**2 / jnp.where(used, frequency, 1.0)[None, :], 0.0)
    total = jnp.sum(weight, axis=1, keepdims=True)
    return jnp.where(total > tiny, weight / jnp.where(total > tiny, total, 1.0), q)


def kl_divergence(p: Float[Array, "n k"], q: Float[Array, "n k"]) -> Float[Array, " n"]:
    """Kullback-Leibler divergence KL(p_i || q_i) of each sample, in nats.

    ``sum_j p_ij log(p_ij / q_ij)``, with ``0 log 0 = 0``: equation (2) of DEC (Xie et al., 2016,
    arXiv 1511.06335). Value and gradient are finite if a probability is 0.

    Args:
      p: target probabilities ``[n, k]``.
      q: model probabilities ``[n, k]``.

    Returns:
      ``[n]`` nats, >= 0 for rows that sum to 1.

    Raises:
      ValueError: an argument is not a matrix, or the shapes differ.

    Example:
      >>> print(kl_divergence(jnp.array([[1.0, 0.0]]), jnp.array([[0.5, 0.5]])))
      [0.693]
    """
    p, q = _checks.matrices("p", p, "q", q)
    tiny = jnp.finfo(q.dtype).tiny
    log_p = jnp.log(jnp.where(p > 0, p, 1.0))
    log_q = jnp.log(jnp.where(q > tiny, q, tiny))
    return jnp.sum(jnp.where(p > 0, p * (log_p - log_q), 0.0), axis=1)


def cross_entropy(logits: Float[Array, "n k"], p: Float[Array, "n k"]) -> Float[Array, " n"]:
    """Cross-entropy of soft labels and a classifier, in nats.

    ``-sum_j p_ij log softmax(logits_i)_j``. Both have a gradient: the classifier learns the labels, or, as in
    TURTLE (Gadetsky et al., 2024, arXiv 2406.07236, equation 12), the labels move to where the classifier is
    right. Hold the other by ``jax.lax.stop_gradient``.

    Args:
      logits: logits of the classifier ``[n, k]``, before the softmax.
      p: labels ``[n, k]``, rows summing to 1.

    Returns:
      ``[n]`` nats, at least the entropy of the labels.

    Raises:
      ValueError: an argument is not a matrix, or the shapes differ.

    Example:
      >>> print(cross_entropy(jnp.zeros((1, 2)), jnp.array([[0.3, 0.7]])))
      [0.693]
    """
    logits, p = _checks.matrices("logits", logits, "p", p)
    return -jnp.sum(p * jax.nn.log_softmax(logits, axis=1), axis=1)


def smoothed_cross_entropy(
    logits: Float[Array, "n k"], labels: Int[Array, " n"], *, smoothing: float = 0.1
) -> Float[Array, " n"]:
    """Cross-entropy with labels that leave a share to the other clusters, in nats.

    The label has the weight ``1 - smoothing``, each other cluster ``smoothing / (k - 1)``: label smoothing as in
    RUC (Park et al., 2021, arXiv 2012.11150), where the share is 0.5.

    Args:
      logits: logits of the classifier ``[n, k]``, before the softmax.
      labels: clusters ``[n]``, from 0 to k - 1.
      smoothing: share of the other clusters, from 0 to 1.

    Returns:
      ``[n]`` nats, at least the entropy of the weights.

    Raises:
      ValueError: ``logits`` is no matrix, the lengths differ, or ``smoothing`` is not from 0 to 1.

    Example:
      >>> print(smoothed_cross_entropy(jnp.log(jnp.array([[0.9, 0.1]])), jnp.array([0]), smoothing=0.5))
      [1.204]
    """
    logits = _checks.matrix("logits", logits)
    labels = _checks.indices("labels", labels, ("logits", logits.shape[0]))
    _checks.fraction("smoothing", smoothing)
    k = logits.shape[1]
    own = labels[:, None] == jnp.arange(k, dtype=labels.dtype)[None, :]
    weights = jnp.where(own, 1.0 - smoothing, smoothing / max(k - 1, 1))
    return -jnp.sum(weights * jax.nn.log_softmax(logits, axis=1), axis=1)


def sharpen(probs: Float[Array, "n k"], *, temperature: float = 0.5) -> Float[Array, "n k"]:
    """Makes an assignment more certain: ``p_ij^(1/t)``, each row divided by its sum.

    The targets of MixMatch (Berthelot et al., 2019, arXiv 1905.02249, equation 7) and of RUC (Park et al., 2021,
    arXiv 2012.11150).

    Args:
      probs: assignment ``[n, k]``, none negative; of any sum, and a row of zeros becomes even.
      temperature: t, > 0; 1 only brings the sums to 1.

    Returns:
      Probabilities ``[n, k]``; every row sums to 1.

    Raises:
      ValueError: ``probs`` is no matrix, or ``temperature`` is not positive.

    Example:
      >>> print(sharpen(jnp.array([[0.65, 0.35]])))
      [[0.775 0.225]]
    """
    probs = _checks.matrix("probs", probs)
    _checks.positive("temperature", temperature)
    return jax.nn.softmax(jnp.log(jnp.maximum(probs, jnp.finfo(probs.dtype).tiny)) / temperature, axis=1)


def sinkhorn(
    scores: Float[Array, "b k"],
    *,
    epsilon: float = 0.05,
    n_iterations: int = 3,
    axis_name: str | None = None,
) -> Float[Array, "b k"]:
    """Assignment that follows the scores while giving each prototype an equal share of the batch.

    ``Q = exp(scores / epsilon)``, then alternately scales each prototype's mass over the global batch to 1/k and
    each sample's to 1/B: equation (3) of SwAV (Caron et al., 2020, arXiv 2006.09882), solved by the Sinkhorn-Knopp
    algorithm. Computed with logarithms, so that large scores do not overflow. SwAV uses it as a target without
    gradient; that takes ``jax.lax.stop_gradient`` in the caller.

    Args:
      scores: similarities of samples to prototypes ``[b, k]``.
      epsilon: regularisation, > 0; smaller values give sharper assignments.
      n_iterations: number of rounds, at least 1.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      ``[b, k]``; every row sums to 1, and every column to about B / k.

    Raises:
      ValueError: ``scores`` is not a matrix, ``epsilon`` is not positive, or ``n_iterations`` is below 1.

    Example:
      >>> print(sinkhorn(jnp.array([[0.1, 0.0], [0.1, 0.0]])))
      [[0.5 0.5]
       [0.5 0.5]]
    """
    log_q = _checks.matrix("scores", scores)
    _checks.positive("epsilon", epsilon)
    if n_iterations < 1:
        raise ValueError(f"n_iterations must be at least 1, but is {n_iterations}")
    log_q = log_q / epsilon
    # The masses 1/k and 1/B only shift the logarithms, and the last step makes every row sum to 1.
    for _ in range(n_iterations):
        log_q = log_q - _log_column_mass(log_q, axis_name)[None, :]
        log_q = jax.nn.log_softmax(log_q, axis=1)
    return jnp.exp(log_q)


def _log_column_mass(log_q, axis_name):
    largest = jnp.max(jax.lax.stop_gradient(log_q), axis=0)
    if axis_name is not None:
        largest = jax.lax.pmax(largest, axis_name)
    return largest + jnp.log(_global.total(jnp.sum(jnp.exp(log_q - largest[None, :]), axis=0), axis_name))

"""A mixture of diagonal Gaussians as the prior of a variational autoencoder."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.losses import _checks


def mixture_assignment(
    z: Float[Array, "n d"],
    centroids: Float[Array, "k d"],
    log_variances: Float[Array, "k d"],
    logits: Float[Array, " k"],
) -> Float[Array, "n k"]:
    """Posterior of the components of a mixture of diagonal Gaussians, given a sample.

    ``gamma_c = pi_c N(z; mu_c, sigma_c^2) / sum_c' pi_c' N(z; mu_c', sigma_c'^2)`` with ``pi = softmax(logits)``:
    p(c|z) in equation (16) of VaDE (Jiang et al., 2017, arXiv 1611.05148). Computed with logarithms, so that a
    sample far from all components still has the nearest one.

    Args:
      z: samples ``[n, d]``.
      centroids: means of the components ``[k, d]``.
      log_variances: logarithms of their variances ``[k, d]``.
      logits: logarithms of their weights ``[k]``, up to a constant.

    Returns:
      Probabilities ``[n, k]``; every row sums to 1.

    Raises:
      ValueError: an argument has the wrong rank, or the shapes don't match.

    Example:
      >>> means = jnp.array([[1.0], [-1.0]])
      >>> print(mixture_assignment(jnp.array([[1.0]]), means, jnp.zeros((2, 1)), jnp.zeros(2)))
      [[0.881 0.119]]
    """
    z = _checks.matrix("z", z)
    return jnp.exp(_log_assignment(z, *_components(z, centroids, log_variances, logits)))


def mixture_kl(
    z: Float[Array, "b d"],
    mean: Float[Array, "b d"],
    log_variance: Float[Array, "b d"],
    centroids: Float[Array, "k d"],
    log_variances: Float[Array, "k d"],
    logits: Float[Array, " k"],
) -> Float[Array, " b"]:
    """KL(q(z, c|x) || p(z, c)) of each sample, from the encoder's Gaussian to a mixture of Gaussians, in nats.

    ``sum_c gamma_c / 2 sum_j (log sigma_cj^2 + s_j^2 / sigma_cj^2 + (m_j - mu_cj)^2 / sigma_cj^2) - 1/2 sum_j (1 +
    log s_j^2) + sum_c gamma_c log(gamma_c / pi_c)``: all but the first term of equation (12) of VaDE (Jiang et
    al., 2017, arXiv 1611.05148), with the opposite sign. gamma is ``mixture_assignment`` of z, a draw from N(m,
    s^2), and the gradient flows through it.

    Args:
      z: draws ``mean + exp(log_variance / 2) * noise``, ``[b, d]``.
      mean: posterior means m ``[b, d]``.
      log_variance: logarithms of the posterior variances s^2 ``[b, d]``.
      centroids: means of the components ``[k, d]``.
      log_variances: logarithms of their variances ``[k, d]``.
      logits: logarithms of their weights ``[k]``, up to a constant.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: an argument has the wrong rank, or the shapes don't match.

    Example:
      >>> one, means = jnp.array([[1.0]]), jnp.array([[1.0], [-1.0]])
      >>> print(mixture_kl(one, one, jnp.zeros((1, 1)), means, jnp.zeros((2, 1)), jnp.zeros(2)))
      [0.566]
    """
    mean, log_variance = _checks.matrices("mean", mean, "log_variance", log_variance)
    z, mean = _checks.matrices("z", z, "mean", mean)
    centroids, log_variances, logits = _components(z, centroids, log_variances, logits)
    log_gamma = _log_assignment(z, centroids, log_variances, logits)
    gamma = jnp.exp(log_gamma)
    squares = jnp.exp(log_variance)[:, None, :] + (mean[:, None, :] - centroids[None, :, :]) ** 2
    away = 0.5 * jnp.sum(log_variances[None, :, :] + squares * jnp.exp(-log_variances)[None, :, :], axis=2)
    entropy = 0.5 * jnp.sum(1.0 + log_variance, axis=1)
    surplus = log_gamma - jax.nn.log_softmax(logits)[None, :]
    return jnp.sum(gamma * (away + surplus), axis=1) - entropy


def _components(z, centroids, log_variances, logits):
    centroids, log_variances = _checks.matrices("centroids", centroids, "log_variances", log_variances)
    centroids = _checks.matrix("centroids", centroids, ("z", z.shape[1]))
    return centroids, log_variances, _checks.vector("logits", logits, ("centroids", centroids.shape[0]))


def _log_assignment(z, centroids, log_variances, logits):
    """Log gamma [n, k]; the constant d/2 log(2 pi) is the same for all components."""
    # Differences instead of z^2 - 2 z mu + mu^2, which cancels near a centroid.
    squares = (z[:, None, :] - centroids[None, :, :]) ** 2 * jnp.exp(-log_variances)[None, :, :]
    log_density = -0.5 * jnp.sum(log_variances[None, :, :] + squares, axis=2)
    return jax.nn.log_softmax(logits[None, :] + log_density, axis=1)

"""Reconstruction losses."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.losses import _checks


def squared_error(
    x: Float[Array, " b *features"], reconstruction: Float[Array, " b *features"]
) -> Float[Array, " b"]:
    """Squared error of each sample, averaged over its features: its mean over b is the MSE.

    The reconstruction term of DEC's pre-training (Xie et al., 2016, arXiv 1511.06335, section
    3.2.1) and of IDEC (Guo et al., 2017, equation 8).

    Args:
      x: samples ``[b, ...]``.
      reconstruction: their reconstructions, of the same shape.

    Returns:
      ``[b]``, in the squared unit of ``x``.

    Raises:
      ValueError: the shapes differ, or there is no feature axis.

    Example:
      >>> print(squared_error(jnp.array([[1.0, 3.0]]), jnp.array([[1.0, 1.0]])))
      [2.]
    """
    x, reconstruction = _pair(x, "reconstruction", reconstruction)
    return jnp.mean((x - reconstruction) ** 2, axis=tuple(range(1, x.ndim)))


def binary_cross_entropy(
    x: Float[Array, " b *features"], logits: Float[Array, " b *features"]
) -> Float[Array, " b"]:
    """Cross-entropy of each sample with independent Bernoulli variables, averaged over its features, in nats.

    ``-x log p - (1 - x) log(1 - p)`` with ``p = sigmoid(logits)``: the reconstruction term of the VAE (Kingma and
    Welling, 2014, arXiv 1312.6114, appendix C.1) for values from 0 to 1. Computed from the logits, so that it
    stays finite where p rounds to 0 or 1.

    Args:
      x: samples ``[b, ...]``, from 0 to 1.
      logits: logits of the reconstructions, of the same shape.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: the shapes differ, or there is no feature axis.

    Example:
      >>> print(binary_cross_entropy(jnp.array([[1.0, 0.5]]), jnp.array([[0.0, 0.0]])))
      [0.693]
    """
    x, logits = _pair(x, "logits", logits)
    return jnp.mean(jax.nn.softplus(logits) - x * logits, axis=tuple(range(1, x.ndim)))


def _pair(x, name, other):
    """Two arrays [b, ...] of the same shape."""
    x, other = jnp.asarray(x), jnp.asarray(other)
    _checks.same_shape("x", x, name, other)
    if x.ndim < 2:
        raise ValueError(f"x must be [b, ...] with at least one feature axis, but its shape is {x.shape}")
    return _checks.widen(x), _checks.widen(other)


def gaussian_kl(mean: Float[Array, "b d"], log_variance: Float[Array, "b d"]) -> Float[Array, " b"]:
    """KL(N(mean, variance) || N(0, 1)) of each sample, summed over the latent dimensions, in nats.

    ``-1/2 sum_d (1 + log s^2 - m^2 - s^2)``: the regulariser of the VAE (Kingma and Welling, 2014,
    arXiv 1312.6114, equation 10).

    Args:
      mean: posterior means ``[b, d]``.
      log_variance: logarithms of the posterior variances ``[b, d]``.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: an argument is not a matrix, or the shapes differ.

    Example:
      >>> print(gaussian_kl(jnp.array([[1.0, 0.0]]), jnp.zeros((1, 2))))
      [0.5]
    """
    mean, log_variance = _checks.matrices("mean", mean, "log_variance", log_variance)
    return -0.5 * jnp.sum(1.0 + log_variance - mean**2 - jnp.exp(log_variance), axis=1)

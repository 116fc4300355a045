"""Triplets: a sample is nearer to those of its cluster than to others."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.losses import _checks, _global
from jaxdc.losses._directions import unit


def triplet(
    z: Float[Array, "b d"],
    labels: Int[Array, " b"],
    *,
    margin: float = 0.2,
    gamma: float = 1.0,
    axis_name: str | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Every pair of a cluster should be nearer than either is to the samples of other clusters, by a margin.

    ``max(0, gamma |z_a - z_p|^2 - |z_a - z_n|^2 + margin)``, the mean over all triplets of the batch in which
    ``a`` and ``p`` are two samples of one cluster, and ``n`` is of another: the loss of JULE (Yang, Parikh, Batra,
    CVPR 2016, arXiv 1604.03628), which draws some of the n. Takes memory for b^3 numbers, divided by the number of
    devices.

    Args:
      z: embeddings ``[b, d]``; normalised here.
      labels: cluster of each sample ``[b]``, any integers.
      margin: how much nearer, in squared distance, at least 0.
      gamma: weight of the distance within a cluster, > 0.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      The loss (0 if there is no triplet) and the number of triplets; scalars of the global batch, equal on all
      devices.

    Raises:
      ValueError: an argument is not a matrix, or no vector of integers, ``margin`` is negative, or ``gamma`` is
        not positive.

    Example:
      >>> z = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
      >>> print(*triplet(z, jnp.array([0, 0, 1])))
      1.6 2.0
    """
    z = _checks.matrix("z", z)
    labels = _checks.indices("labels", labels, ("z", z.shape[0]))
    _checks.positive("gamma", gamma)
    if margin < 0:
        raise ValueError(f"margin must be at least 0, but is {margin}")
    z = unit(z)
    every, all_labels = _global.all_rows(z, axis_name), _global.all_rows(labels, axis_name)
    products = jnp.matmul(z, every.T, precision=jax.lax.Precision.HIGHEST)
    squared = jnp.sum(z * z, axis=1)[:, None] + jnp.sum(every * every, axis=1)[None, :] - 2 * products
    same = labels[:, None] == all_labels[None, :]
    own = _global.row_numbers(z.shape[0], axis_name)[:, None]
    others = own != jnp.arange(every.shape[0], dtype=jnp.int32)[None, :]
    used = (same & others)[:, :, None] & ~same[:, None, :]
    costs = jax.nn.relu(gamma * squared[:, :, None] - squared[:, None, :] + margin)
    n_triplets = _global.total(jnp.sum(used, dtype=z.dtype), axis_name)
    loss = _global.total(jnp.sum(jnp.where(used, costs, 0.0)), axis_name) / jnp.maximum(n_triplets, 1.0)
    return loss, n_triplets

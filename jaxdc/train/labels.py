"""From probabilities to clusters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

REJECTED = -1  # the cluster of a sample that belongs nowhere


def labels_of(probabilities: np.ndarray) -> np.ndarray:
    """The most probable cluster of each sample.

    Args:
      probabilities: ``[n, k]``; a row of zeros marks a sample that belongs to no cluster.

    Returns:
      Clusters, int32 ``[n]``; -1 for a sample that belongs to none.
    """
    labels = probabilities.argmax(axis=1).astype(np.int32)
    return np.where(probabilities.any(axis=1), labels, np.int32(REJECTED))


def labels_on_device(probabilities: jax.Array) -> jax.Array:
    """``labels_of``, to be traced."""
    labels = jnp.argmax(probabilities, axis=1).astype(jnp.int32)
    return jnp.where(jnp.any(probabilities != 0, axis=1), labels, REJECTED)


def sizes_of(labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """The number of samples in each cluster ``[k]``, without the rejected ones."""
    return np.bincount(labels[labels >= 0], minlength=n_clusters)

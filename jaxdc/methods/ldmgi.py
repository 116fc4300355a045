"""LDMGI: local discriminant models and global integration (Yang, Xu, Nie, Yan, Zhuang, IEEE TIP 2010).

Each sample and its nearest neighbours are a clique, in which a linear model should tell the clusters apart; the
cost of the best such model is a quadratic form of the cluster indicators, and the sum over all cliques a
Laplacian. Its eigenvectors of the smallest eigenvalues are rotated to clusters. No network, and no new samples:
these get the cluster of the nearest training sample.

DEC's table has it with ``lamb`` chosen by the labels, among powers of ten from 1e-8 to 1e8; here it is a setting
with a default. Samples are divided by their root mean square, so that it has no unit.
"""

from __future__ import annotations

import dataclasses
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxdc import cluster
from jaxdc.errors import InputError
from jaxdc.methods.base import field, register
from jaxdc.methods.parts.eigenvectors import smallest_eigenvectors, spectral_rotation
from jaxdc.methods.shallow import Transductive, unit_rms

BLOCK = 512  # cliques at a time


def discriminant_laplacian(x: Float[np.ndarray, "n d"], cliques: Int[np.ndarray, "c m"], lamb: float) -> Any:
    """The sum over all cliques of ``lamb H (H X X^T H + lamb I)^-1 H``, X the clique's samples, H its centring.

    Args:
      x: samples ``[n, d]``.
      cliques: the rows of each clique ``[c, m]``.
      lamb: regularisation of the cliques' models, > 0.

    Returns:
      A SciPy sparse array ``[n, n]``, positive semi-definite; its rows sum to 0.
    """
    from scipy.sparse import csr_array

    n, m = len(x), cliques.shape[1]
    centring = np.eye(m) - 1 / m
    entries = np.empty((len(cliques), m, m))
    for first in range(0, len(cliques), BLOCK):
        part = slice(first, first + BLOCK)
        members = x[cliques[part]].astype(np.float64)
        centred = members - members.mean(axis=1, keepdims=True)
        gram = centred @ centred.transpose(0, 2, 1)
        entries[part] = lamb * (centring @ np.linalg.inv(gram + lamb * np.eye(m)) @ centring)
    rows = np.broadcast_to(cliques[:, :, None], entries.shape)
    columns = np.broadcast_to(cliques[:, None, :], entries.shape)
    return csr_array((entries.ravel(), (rows.ravel(), columns.ravel())), shape=(n, n))


@register("ldmgi", "classic")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class LDMGI(Transductive):
    """Local discriminant models and global integration (Yang et al., 2010).

    Attributes:
      clique_size: samples of a clique: a sample and its nearest neighbours.
      lamb: regularisation of a clique's model, in units of the samples' mean square.
    """

    clique_size: int = field(10, at_least=2)
    lamb: float = field(1.0, above=0)

    def init(self, key, spec):
        if self.clique_size > spec.n_samples:
            raise InputError(f"clique_size is {self.clique_size}, but there are only {spec.n_samples} samples")
        return super().init(key, spec)

    def _fit(self, x, random_state):
        x = unit_rms(x)
        cliques = cluster.nearest_neighbors(jnp.asarray(x), self.clique_size, metric="euclidean").indices
        laplacian = discriminant_laplacian(x, np.asarray(cliques), self.lamb)
        vectors = smallest_eigenvectors(laplacian, self.n_clusters, random_state)
        return spectral_rotation(vectors, random_state).labels

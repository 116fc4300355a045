"""SEC: spectral embedded clustering (Nie, Xu, Tsang, Zhang, IJCAI 2009; Nie et al., IEEE TNN 2011).

Spectral clustering whose relaxed indicators F must be near to a linear function of the samples: ``min tr F^T L F +
mu (|X W + 1 b^T - F|^2 + gamma |W|^2)`` with F^T F = I and L the normalised Laplacian of a graph of nearest
neighbours. W and b have a closed form, so that F are eigenvectors again, which are rotated to clusters. A new
sample gets the cluster that W and b give it; a training sample that of F.

DEC's table has it with its settings chosen by the labels; here they have defaults, which were chosen on digits.
Samples are divided by their root mean square and gamma is multiplied by their number, so that it has no unit.
Edges have Gaussian weights with a width for each sample, the distance of its last neighbour (Zelnik-Manor and
Perona, 2004).
"""

from __future__ import annotations

import dataclasses
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxdc import cluster
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import field, register
from jaxdc.methods.parts.eigenvectors import smallest_eigenvectors, spectral_rotation
from jaxdc.methods.shallow import Shallow, random_state, rms_of


def graph_laplacian(x: Float[np.ndarray, "n d"], n_neighbors: int) -> Any:
    """The normalised Laplacian ``I - D^-1/2 W D^-1/2`` of the graph of nearest neighbours.

    ``W_ij = exp(-|x_i - x_j|^2 / (s_i s_j))`` for j among the neighbours of i or i among those of j, s_i the
    distance of the last neighbour of i.

    Returns:
      A SciPy sparse array ``[n, n]``.
    """
    from scipy.sparse import coo_array, diags_array

    n = len(x)
    found = cluster.nearest_neighbors(jnp.asarray(x), n_neighbors + 1, metric="euclidean")
    others = np.asarray(found.indices)[:, 1:]
    squared = np.maximum(-np.asarray(found.similarities, np.float64)[:, 1:], 0.0)
    widths = np.sqrt(squared[:, -1])
    scale = widths[:, None] * widths[others]
    # Copies of a sample are at distance 0, and their widths may be 0, too.
    weights = np.exp(-np.divide(squared, scale, out=np.zeros_like(squared), where=scale > 0))
    rows = np.repeat(np.arange(n), n_neighbors)
    one_way = coo_array((weights.ravel(), (rows, others.ravel())), shape=(n, n)).tocsr()
    both = one_way.maximum(one_way.T)
    both.setdiag(0)
    degrees = both.sum(axis=1)
    root = diags_array(1 / np.sqrt(np.where(degrees > 0, degrees, 1.0)))
    return diags_array(np.ones(n)) - root @ both @ root


def linear_map(x: Float[np.ndarray, "n d"], gamma: float) -> Float[np.ndarray, "d n"]:
    """``(Xc^T Xc + gamma I)^-1 Xc^T``, which takes F to the W of its ridge regression; Xc are centred samples."""
    centred = x - x.mean(axis=0)
    return np.linalg.solve(centred.T @ centred + gamma * np.eye(x.shape[1]), centred.T)


def embedded_laplacian(laplacian: Any, x: Float[np.ndarray, "n d"], mu: float, gamma: float) -> Any:
    """``L + mu (H - Xc (Xc^T Xc + gamma I)^-1 Xc^T)`` as a linear operator, H the centring."""
    from scipy.sparse.linalg import LinearOperator

    centred, to_weights = x - x.mean(axis=0), linear_map(x, gamma)

    def times(f):
        return laplacian @ f + mu * (f - f.mean(axis=0) - centred @ (to_weights @ f))

    functions: dict[str, Any] = {"matvec": times, "matmat": times}
    return LinearOperator(shape=laplacian.shape, dtype=np.float64, **functions)


@register("sec", "classic")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SEC(Shallow):
    """Spectral embedded clustering, which predicts new samples by a linear map (Nie et al., 2011).

    Attributes:
      n_neighbors: number of neighbours of each sample in the graph.
      mu: weight of the linear map; 0 is spectral clustering.
      gamma: ridge of the linear map for each sample, in units of the samples' mean square.
    """

    n_neighbors: int = field(5, at_least=1)
    mu: float = field(0.1, at_least=0)
    gamma: float = field(0.05, above=0)

    def init(self, key, spec):
        if self.n_neighbors >= spec.n_samples:
            raise InputError(f"n_neighbors is {self.n_neighbors}, but there are only {spec.n_samples} samples")
        return super().init(key, spec)

    def _empty(self, n_samples, d):
        return {
            "samples": jnp.zeros((n_samples, d)),
            "labels": jnp.zeros(n_samples, jnp.int32),
            "weights": jnp.zeros((d, self.n_clusters)),
            "bias": jnp.zeros(self.n_clusters),
        }

    def refresh(self, model, aux, features, key):
        given, seed = sharding.to_host(features), random_state(key)
        scale = 1 / rms_of(given)
        x = scale * given.astype(np.float64)
        laplacian, ridge = graph_laplacian(x, self.n_neighbors), self.gamma * len(x)
        operator = embedded_laplacian(laplacian, x, self.mu, ridge)
        indicators = smallest_eigenvectors(operator, self.n_clusters, seed)
        labels, rotation = spectral_rotation(indicators, seed)
        rotated = indicators @ rotation
        weights = linear_map(x, ridge) @ rotated
        bias = rotated.mean(axis=0) - x.mean(axis=0) @ weights
        found = {"samples": given, "labels": labels, "weights": scale * weights, "bias": bias}
        return model, {name: jnp.asarray(value, aux[name].dtype) for name, value in found.items()}

    def assign(self, model, aux, features):
        def label(row):
            nearest = cluster.nearest_centroid(row[None], aux["samples"])[0]
            is_known = jnp.all(aux["samples"][nearest] == row)
            return jnp.where(is_known, aux["labels"][nearest], jnp.argmax(row @ aux["weights"] + aux["bias"]))

        labels = jax.lax.map(label, features, batch_size=256)
        return jax.nn.one_hot(labels, self.n_clusters, dtype=jnp.float32)

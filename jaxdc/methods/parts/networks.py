"""What methods on networks share: edges in ``aux``, sums over neighbours, a decoder of the edges, k-means.

Sums over neighbours are ``segment_sum`` over the sorted edges, of so many columns at a time that memory grows with
the number of edges, not with their number times the width. Every sum over
all pairs of nodes is exact up to ``PAIRS`` nodes, and estimated from random pairs above.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxdc import cluster
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Graph, Method, restarts
from jaxdc.methods.parts.k_means import best_k_means

PAIRS = 8192  # most nodes whose pairs are all taken
BLOCK = 2**25  # most numbers, one for each edge and column, that are gathered at a time


@dataclasses.dataclass(frozen=True, kw_only=True)
class KMeansOfNodes(Method):
    """A method whose codes of nodes are clustered by k-means at the end of the run.

    ``aux["centroids"]`` is ``[k, d]``, where d is the width of the codes.

    Attributes:
      n_init: k-means runs; the best is kept.
    """

    n_init: int = restarts(20)

    embeds_together: ClassVar[bool] = True
    inherits: ClassVar[tuple[str, ...]] = ()

    def refresh(self, model, aux, features, key):
        found = best_k_means(key, features, self.n_clusters, n_init=self.n_init)
        return model, {**aux, "centroids": found.centroids}

    def assign(self, model, aux, features):
        nearest = cluster.nearest_centroid(features, aux["centroids"])
        return jax.nn.one_hot(nearest, self.n_clusters, dtype=jnp.float32)


def graph_of(spec: DataSpec, what: str) -> Graph:
    """The edges; InputError if the data are no network."""
    if spec.graph is None:
        raise InputError(f"{what} needs a network, but these data have no edges between the samples")
    return spec.graph


def edges_of(graph: Graph) -> dict[str, jax.Array]:
    """The directed edges for ``aux``: ``sources [e]`` and ``targets [e]``, ascending."""
    return {"sources": jnp.asarray(graph.sources), "targets": jnp.asarray(graph.targets)}


def sum_by_target(values: Float[Array, "e ..."], edges: Mapping[str, jax.Array], n: int) -> Float[Array, "n ..."]:
    """The sum over the edges that end in each node."""
    return jax.ops.segment_sum(values, edges["targets"], num_segments=n, indices_are_sorted=True)


def sum_of_neighbors(
    h: Float[Array, "n d"], edges: Mapping[str, jax.Array], weights: Float[Array, " e"] | None = None
) -> Float[Array, "n d"]:
    """The sum of ``h`` over the neighbours of each node, each times the weight of its edge if there are weights.

    Takes as many columns at a time as ``BLOCK`` allows, forwards and backwards.
    """

    def of_columns(h, weights):
        gathered = h[edges["sources"]]
        return sum_by_target(gathered if weights is None else weights[:, None] * gathered, edges, h.shape[0])

    n, d = h.shape
    width = max(BLOCK // max(len(edges["targets"]), 1), 1)
    if width >= d:
        return of_columns(h, weights)
    n_blocks = -(-d // width)
    blocks = jnp.pad(h, ((0, 0), (0, n_blocks * width - d))).reshape(n, n_blocks, width).swapaxes(0, 1)
    summed = jax.lax.map(lambda block: jax.checkpoint(of_columns)(block, weights), blocks)
    return summed.swapaxes(0, 1).reshape(n, n_blocks * width)[:, :d]


def mean_of_neighbors(h: Float[Array, "n d"], edges: Mapping[str, jax.Array]) -> Float[Array, "n d"]:
    """``D^-1/2 (A + I) D^-1/2 h``, where D holds the degrees plus 1 (Kipf and Welling, 2017, equation 2)."""
    n = h.shape[0]
    degree = 1 + sum_by_target(jnp.ones(len(edges["targets"])), edges, n)
    scaled = h * jax.lax.rsqrt(degree)[:, None]
    around = sum_of_neighbors(scaled, edges)
    return (around + scaled) * jax.lax.rsqrt(degree)[:, None]


def edge_loss(
    z: Float[Array, "n d"], edges: Mapping[str, jax.Array], key: jax.Array, *, balanced: bool = True
) -> Float[Array, ""]:
    """Cross-entropy of ``A + I`` under the probabilities ``sigmoid(z_i · z_j)``, as a mean over all pairs.

    With more than ``PAIRS`` nodes, the sum over all pairs comes from as many random pairs as there are edges,
    weighted so that the expectation is the loss over all pairs.

    Args:
      z: codes of the nodes.
      edges: those of ``edges_of``.
      key: for the random pairs.
      balanced: let edges count as much as the far more numerous other pairs, times
        ``n^2 / (2 (n^2 - |A|))``, as in the graph autoencoder, where |A| does not count the diagonal.
    """
    n, n_linked = z.shape[0], len(edges["targets"])
    total = float(n) ** 2
    weight = (total - n_linked) / max(n_linked, 1) if balanced else 1.0
    norm = total / (2 * (total - n_linked)) if balanced else 1.0
    scores = jnp.sum(z[edges["sources"]] * z[edges["targets"]], axis=1)
    own = jnp.sum(z**2, axis=1)
    ones = jnp.sum(jax.nn.softplus(-scores)) + jnp.sum(jax.nn.softplus(-own))
    as_zeros = jnp.sum(jax.nn.softplus(scores)) + jnp.sum(jax.nn.softplus(own))
    if n <= PAIRS:
        everything = jnp.sum(jax.nn.softplus(z @ z.T))
    else:
        pairs = jax.random.randint(key, (2, n_linked + n), 0, n)
        drawn = jnp.mean(jax.nn.softplus(jnp.sum(z[pairs[0]] * z[pairs[1]], axis=1)))
        everything = total * drawn
    return norm / total * (weight * ones + everything - as_zeros)


class Linear(nnx.Module):
    """``x W`` without a bias, Glorot-uniform."""

    def __init__(self, d_in: int, d_out: int, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(nnx.initializers.glorot_uniform()(rngs.params(), (d_in, d_out)))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x @ self.kernel[...]


def unit_rows(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Rows of length 1; a row of zeros stays."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def proximity(graph: Graph, order: int) -> tuple[np.ndarray, np.ndarray]:
    """``(T + T^2 + ... + T^order) / order`` of the row-normalised ``A``, on the edges and on the diagonal.

    The rows of nodes without edges are zeros.

    Returns:
      Values ``[e]`` in the order of the edges (row: target), and ``[n]``.
    """
    import scipy.sparse

    n = graph.n_nodes
    degrees = np.asarray(graph.adjacency.sum(axis=1), np.float64).reshape(-1)
    t = scipy.sparse.csr_array(scipy.sparse.diags_array(1 / np.maximum(degrees, 1)) @ graph.adjacency)
    edges, diagonal = np.zeros(len(graph.targets), np.float32), np.zeros(n, np.float32)
    for power in range(1, order + 1):
        # A block of rows at a time: the second power of a hub is almost dense.
        for first in range(0, n, 4096):
            rows = t[first : first + 4096]
            for _ in range(power - 1):
                rows = rows @ t
            begin, end = np.searchsorted(graph.targets, [first, min(first + 4096, n)])
            if end > begin:
                found = rows[graph.targets[begin:end] - first, graph.sources[begin:end]]
                edges[begin:end] += np.asarray(found).reshape(-1) / order
            own = np.arange(first, min(first + 4096, n))
            diagonal[own] += np.asarray(rows[own - first, own]).reshape(-1) / order
    return edges, diagonal

"""GAE and VGAE: Variational Graph Auto-Encoders (Kipf and Welling, 2016, arXiv 1611.07308), then k-means.

Two graph convolutions give each node a code, ``Z = A' relu(A' X W0) W1`` with ``A' = D^-1/2 (A + I) D^-1/2``, and
the products of two codes should say whether their nodes have an edge. Every step takes the whole network.

Differs from the paper in: all edges are trained on (the paper holds some out, to predict them); above 8,192 nodes
the pairs without an edge are sampled. k-means on the codes, or on the means of the variational form, gives the
clusters.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts.networks import (
    KMeansOfNodes,
    Linear,
    edge_loss,
    edges_of,
    graph_of,
    mean_of_neighbors,
)


class Convolutions(nnx.Module):
    """Two graph convolutions; a second one beside the last gives log-deviations in the variational form."""

    def __init__(self, d: int, method: GAE, *, rngs: nnx.Rngs):
        self.first = Linear(d, method.hidden, rngs=rngs)
        self.mean = Linear(method.hidden, method.latent, rngs=rngs)
        if method.variational:
            self.log_deviation = Linear(method.hidden, method.latent, rngs=rngs)

    def around(self, x, edges):
        """What both second convolutions see, ``[n, hidden]``."""
        return mean_of_neighbors(jax.nn.relu(mean_of_neighbors(self.first(x), edges)), edges)

    def __call__(self, x, edges):
        return self.mean(self.around(x, edges))


class _Network(nnx.Module):
    def __init__(self, d: int, method: GAE, rngs: nnx.Rngs):
        self.encoder = Convolutions(d, method, rngs=rngs)


@register("gae", "network", variants={"vgae": {"variational": True}})
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class GAE(KMeansOfNodes):
    """Graph autoencoder, and its variational form: codes of nodes that predict the edges, then k-means.

    Only the nodes of the training have clusters: the features of a node depend on its neighbours.

    Attributes:
      hidden: width of the first convolution.
      latent: width of the codes.
      variational: draw each code from a Gaussian that is pulled towards the standard one (VGAE).
      n_init: k-means runs; the best is kept.
    """

    hidden: int = field(32, at_least=1)
    latent: int = field(16, at_least=1)
    variational: bool = False

    full_batch: ClassVar[bool] = True

    def init(self, key, spec):
        edges = edges_of(graph_of(spec, "a graph autoencoder"))
        model = _Network(math.prod(spec.shape), self, nnx.Rngs(key))
        return model, {"edges": edges, "centroids": jnp.zeros((self.n_clusters, self.latent))}

    def loss(self, model, aux, batch, key):
        of_pairs, of_codes = jax.random.split(key)
        around = model.encoder.around(batch["x"], aux["edges"])
        z, divergence = model.encoder.mean(around), jnp.float32(0)
        if self.variational:
            log_s = model.encoder.log_deviation(around)
            each = -0.5 * jnp.sum(1 + 2 * log_s - z**2 - jnp.exp(2 * log_s), axis=1)
            divergence = jnp.mean(each) / len(z)
            z += jax.random.normal(of_codes, z.shape) * jnp.exp(log_s)
        reconstruction = edge_loss(z, aux["edges"], of_pairs)
        parts = {"reconstruction": reconstruction} | ({"divergence": divergence} if self.variational else {})
        return reconstruction + divergence, (aux, parts)

    def embed(self, model, aux, batch):
        return model.encoder(batch["x"], aux["edges"])

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        return (Stage(method=self, steps=200, optimizer=Optimizer(learning_rate=0.01)),)

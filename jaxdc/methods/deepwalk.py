"""DeepWalk: online learning of social representations (Perozzi, Al-Rfou, Skiena, KDD 2014, arXiv 1403.6652).

Random walks are read as sentences, their nodes as words: skip-gram gives each node a vector that tells the nodes
near it on walks from nodes drawn at random. Only the edges are used, so it suits networks without features.

Differs from the paper in: negative sampling (as in node2vec; Grover and Leskovec, KDD 2016) in place of the
hierarchical softmax; every step draws its own walks, where the paper draws ten from each node once and for all;
one Adam step takes a batch of walks, and its random nodes are shared by all its pairs. k-means on the vectors
gives the clusters.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc.losses._skip_gram import negative_sampling_of_scores
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views
from jaxdc.methods.parts.networks import KMeansOfNodes, graph_of

N_DRAWN = 128  # random nodes of a step
LARGE = 20_000  # nodes from which on a step takes more walks


class _Vectors(nnx.Module):
    """Two vectors ``[n, d]`` for each node: its own, and that as a context of others."""

    def __init__(self, n: int, dim: int, rngs: nnx.Rngs):
        self.nodes = nnx.Param(jax.random.uniform(rngs.params(), (n, dim), minval=-0.5, maxval=0.5) / dim)
        self.contexts = nnx.Param(jnp.zeros((n, dim)))


class _Network(nnx.Module):
    def __init__(self, n: int, dim: int, rngs: nnx.Rngs):
        self.encoder = _Vectors(n, dim, rngs)


def random_walks(key: jax.Array, start: jax.Array, aux: dict[str, jax.Array], length: int) -> jax.Array:
    """Walks ``[b, length]`` from the nodes ``start [b]``: the next node is any neighbour, with equal chances.

    A walk from a node without edges stays there.

    Args:
      key: for the draws.
      start: first node of each walk.
      aux: ``neighbors [2m]`` of all nodes one after the other, where those of each begin, ``first [n]``, and their
        number ``degrees [n]``.
      length: nodes of a walk.
    """

    def step(node, key):
        degree = aux["degrees"][node]
        drawn = jax.random.randint(key, node.shape, 0, jnp.maximum(degree, 1))
        after = jnp.where(degree > 0, aux["neighbors"][aux["first"][node] + drawn], node)
        return after, after

    _, after = jax.lax.scan(step, start, jax.random.split(key, length - 1))
    return jnp.concatenate([start[:, None], after.T], axis=1)


@register("deepwalk", "network")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepWalk(KMeansOfNodes):
    """Vectors of nodes from random walks over the edges, then k-means; features are not used.

    Only the nodes of the training have clusters. Nodes without edges keep the vectors that they began with.

    Attributes:
      dim: length of a vector.
      walk_length: nodes of a walk.
      window: largest distance, in steps of the walk, of a node's contexts; each node draws its own reach from 1 to
        this.
      n_negatives: weight of the random nodes, as a number per pair.
      n_init: k-means runs; the best is kept.
    """

    dim: int = field(64, at_least=1)
    walk_length: int = field(40, at_least=2)
    window: int = field(10, at_least=1)
    n_negatives: float = field(5.0, above=0)

    recipe_names: ClassVar[tuple[str, ...]] = ("fast",)

    def init(self, key, spec):
        graph = graph_of(spec, "DeepWalk")
        degrees = jnp.asarray(graph.degrees, jnp.int32)
        seen = jnp.cumsum(degrees.astype(jnp.float32) ** 0.75)
        return _Network(spec.n_samples, self.dim, nnx.Rngs(key)), {
            "neighbors": jnp.asarray(graph.sources),
            "first": jnp.cumsum(degrees) - degrees,
            "degrees": degrees,
            # The chance of a node among the negatives: a walk meets nodes by their degrees.
            "noise": seen / jnp.maximum(seen[-1], 1),
            "centroids": jnp.zeros((self.n_clusters, self.dim)),
        }

    def loss(self, model, aux, batch, key):
        walk_key, reach_key, noise_key = jax.random.split(key, 3)
        walks = random_walks(walk_key, batch["index"], aux, self.walk_length)
        reach = jax.random.randint(reach_key, walks.shape, 1, self.window + 1)
        place = jnp.arange(self.walk_length)
        apart = jnp.abs(place[:, None] - place[None, :])
        held = (apart > 0)[None] & (apart[None] <= reach[:, :, None]) & (aux["degrees"][walks] > 0)[:, :, None]
        uniform = jax.random.uniform(noise_key, (N_DRAWN,))
        drawn = jnp.minimum(jnp.searchsorted(aux["noise"], uniform, side="right"), len(aux["noise"]) - 1)
        vectors = model.encoder
        own, contexts, negatives = vectors.nodes[walks], vectors.contexts[walks], vectors.contexts[drawn]
        towards = jnp.einsum("bid,bjd->bij", own, contexts)
        rows = (walks.size, self.walk_length)
        loss = negative_sampling_of_scores(
            towards.reshape(rows),
            held.reshape(rows),
            own.reshape(walks.size, self.dim) @ negatives.T,
            self.n_negatives,
        )
        return loss, (aux, {})

    def chance(self, batch_size, spec):
        return {"loss": (1 + self.n_negatives) * math.log(2)}

    def embed(self, model, aux, batch):
        return model.encoder.nodes[...]

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        batch = two_views.batch_for(spec, 64 if spec.n_samples < LARGE else 1024)
        # Ten walks from each node, as in the paper, and at least as many steps as words take.
        epochs = max(10.0, 2000 / max(spec.n_samples // batch, 1))
        adam = Optimizer(learning_rate=0.005, cosine=True)
        return (Stage(method=self, epochs=epochs, batch_size=batch, optimizer=adam),)

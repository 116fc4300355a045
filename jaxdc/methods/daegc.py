"""DAEGC: attributed graph clustering by an attentional embedding (Wang et al., IJCAI 2019, arXiv 1906.06532).

An attentional autoencoder learns codes that predict the edges; then it goes on beside DEC's self-training of the
clusters. A node attends to its neighbours by their features and by their proximity ``M = (T + ... + T^t) / t``,
the chance to reach them in a short walk.

Differs from the paper in: nodes attend to direct neighbours only, by M (the paper: to all that M reaches);
above 8,192 nodes the pairs without an edge are sampled.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import losses
from jaxdc.methods.base import Method, Optimizer, Stage, field, register
from jaxdc.methods.parts.k_means import best_k_means
from jaxdc.methods.parts.networks import (
    Linear,
    edge_loss,
    edges_of,
    graph_of,
    proximity,
    sum_by_target,
    sum_of_neighbors,
    unit_rows,
)


class Attention(nnx.Module):
    """A node's mean over its neighbours and itself, by weights from both ends (equations 2 to 5)."""

    def __init__(self, d_in: int, d_out: int, *, rngs: nnx.Rngs):
        self.linear = Linear(d_in, d_out, rngs=rngs)
        self.of_target, self.of_source = Linear(d_out, 1, rngs=rngs), Linear(d_out, 1, rngs=rngs)

    def __call__(self, x, edges):
        h, n = self.linear(x), x.shape[0]
        to, by = self.of_target(h)[:, 0], self.of_source(h)[:, 0]
        source, target = edges["sources"], edges["targets"]
        scores = jax.nn.leaky_relu(edges["proximity"] * (to[target] + by[source]), 0.2)
        own = jax.nn.leaky_relu(edges["own_proximity"] * (to + by), 0.2)
        most = jax.ops.segment_max(scores, target, num_segments=n, indices_are_sorted=True)
        most = jax.lax.stop_gradient(jnp.maximum(most, own))
        weights, own_weight = jnp.exp(scores - most[target]), jnp.exp(own - most)
        total = sum_by_target(weights, edges, n) + own_weight
        around = sum_of_neighbors(h, edges, weights) + own_weight[:, None] * h
        return jax.nn.elu(around / total[:, None])


class _Encoder(nnx.Module):
    def __init__(self, d: int, method, rngs: nnx.Rngs):
        self.first = Attention(d, method.hidden, rngs=rngs)
        self.second = Attention(method.hidden, method.latent, rngs=rngs)

    def __call__(self, x, edges):
        return unit_rows(self.second(self.first(x, edges), edges))


class _Network(nnx.Module):
    def __init__(self, d: int, method, rngs: nnx.Rngs):
        self.encoder = _Encoder(d, method, rngs)
        if method.clusters:
            self.centroids = nnx.Param(jnp.zeros((method.n_clusters, method.latent)))


def _with_proximity(graph, order: int) -> dict[str, jax.Array]:
    values, own = proximity(graph, order)
    return {**edges_of(graph), "proximity": jnp.asarray(values), "own_proximity": jnp.asarray(own)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Attentional(Method):
    hidden: int = field(256, at_least=1)
    latent: int = field(16, at_least=1)
    order: int = field(2, at_least=1)

    full_batch: ClassVar[bool] = True
    embeds_together: ClassVar[bool] = True

    def init(self, key, spec):
        edges = _with_proximity(graph_of(spec, "DAEGC"), self.order)
        return _Network(math.prod(spec.shape), self, nnx.Rngs(key)), {"edges": edges}

    def embed(self, model, aux, batch):
        return model.encoder(batch["x"], aux["edges"])


@register("graph_attention", "preparation")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class _GraphAttention(_Attentional):
    """The attentional autoencoder alone."""

    clusters: ClassVar[bool] = False
    refresh_epochs: ClassVar[float | None] = 1e9
    inherits: ClassVar[tuple[str, ...]] = ()

    def loss(self, model, aux, batch, key):
        z = model.encoder(batch["x"], aux["edges"])
        loss = edge_loss(z, aux["edges"], key, balanced=False)
        return loss, (aux, {})

    def assign(self, model, aux, features):
        raise NotImplementedError("this stage makes no clusters")

    def stages(self, recipe, spec):
        raise NotImplementedError("this stage only prepares DAEGC")


@register("daegc", "network")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DAEGC(_Attentional):
    """Deep attentional embedded graph clustering.

    Only the nodes of the training have clusters: the features of a node depend on its neighbours.

    Attributes:
      hidden: width of the first attentional layer.
      latent: width of the codes.
      order: longest walk of the proximity between neighbours, in edges.
      clustering: weight of DEC's loss beside the reconstruction of the edges.
      refresh_steps: steps between two updates of the target distribution.
      n_init: k-means runs to initialise the centroids.
    """

    clustering: float = field(10.0, at_least=0)
    refresh_steps: int | None = field(5, at_least=1)
    n_init: int = field(20, at_least=1)

    def init(self, key, spec):
        model, aux = super().init(key, spec)
        return model, {**aux, "p": jnp.zeros((spec.n_samples, self.n_clusters)), "started": jnp.array(False)}

    def loss(self, model, aux, batch, key):
        z = model.encoder(batch["x"], aux["edges"])
        reconstruction = edge_loss(z, aux["edges"], key, balanced=False)
        q = losses.student_t_assignment(z, model.centroids[...])
        kl = jnp.mean(losses.kl_divergence(aux["p"], q))
        return reconstruction + self.clustering * kl, (aux, {"reconstruction": reconstruction, "kl": kl})

    def refresh(self, model, aux, features, key):
        if not bool(aux["started"]):
            found = best_k_means(key, features, self.n_clusters, n_init=self.n_init)
            model.centroids[...] = found.centroids
        p = losses.target_distribution(losses.student_t_assignment(features, model.centroids[...]))
        return model, {**aux, "p": p, "started": jnp.array(True)}

    def assign(self, model, aux, features):
        return losses.student_t_assignment(features, model.centroids[...])

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        before = _GraphAttention(
            n_clusters=self.n_clusters, hidden=self.hidden, latent=self.latent, order=self.order
        )
        slow, slower = (Optimizer(learning_rate=rate, weight_decay=5e-3) for rate in (1e-3, 1e-4))
        return (
            Stage(method=before, steps=50, optimizer=slow),
            Stage(method=self, steps=100, optimizer=slower),
        )

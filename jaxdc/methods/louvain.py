"""Louvain's communities, networkx's, as a baseline that finds the number of clusters of a network."""

from __future__ import annotations

import dataclasses
import importlib.util
from typing import ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc.errors import InputError
from jaxdc.methods.base import Stage, field, register
from jaxdc.methods.parts.networks import edges_of, graph_of, sum_by_target, sum_of_neighbors
from jaxdc.methods.shallow import Shallow, largest_first, random_state


class _Communities(nnx.Module):
    """The community of each node, int32 ``[n]``, the largest first; -1 for none."""

    def __init__(self, n: int):
        self.labels = nnx.Variable(jnp.zeros(n, jnp.int32))


class _Network(nnx.Module):
    def __init__(self, n: int):
        self.encoder = _Communities(n)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _OnCommunities(Shallow):
    n_clusters: int = field(256, at_least=2)
    resolution: float = field(1.0, above=0)

    finds_n_clusters: ClassVar[bool] = True
    embeds_together: ClassVar[bool] = True

    def _empty(self, n_samples, d):
        return {}

    def init(self, key, spec):
        return _Network(spec.n_samples), edges_of(graph_of(spec, "louvain"))


@register("find_communities", "preparation")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class _FindCommunities(_OnCommunities):
    """Finds the communities."""

    clusters: ClassVar[bool] = False
    refresh_epochs: ClassVar[float | None] = 1.0

    def check_files(self, spec):
        if importlib.util.find_spec("networkx") is None:
            raise InputError("louvain needs networkx, which is not installed: pip install 'jaxdc[graphs]'")

    def refresh(self, model, aux, features, key):
        import networkx

        network = networkx.Graph()
        network.add_nodes_from(range(len(features)))
        ends = (np.asarray(aux[end]).tolist() for end in ("sources", "targets"))
        network.add_edges_from((a, b) for a, b in zip(*ends, strict=True) if a < b)
        seed = random_state(key)
        found = networkx.community.louvain_communities(network, resolution=self.resolution, seed=seed)
        labels = np.empty(len(features), np.int32)
        for number, community in enumerate(found):
            labels[list(community)] = number
        model.encoder.labels[...] = jnp.asarray(largest_first(labels, self.n_clusters))
        return model, aux

    def assign(self, model, aux, features):
        raise NotImplementedError("this stage makes no clusters")


@register("louvain", "network")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Louvain(_OnCommunities):
    """Communities of high modularity (Blondel et al., 2008, arXiv 0803.0476); features are not used.

    The number of clusters comes from the edges: a community has more edges inside than its degrees would make
    by chance. Every isolated part of the network is at least one. Only the nodes of the training have clusters.
    Needs the package networkx (``pip install 'jaxdc[graphs]'``), which is written in Python: a million edges take
    minutes.

    Attributes:
      n_clusters: most communities to keep, the largest ones; nodes of the others belong to no cluster.
      resolution: weight of what chance would make; above 1 finds more and smaller communities.
    """

    inherits: ClassVar[tuple[str, ...]] = ("encoder",)

    def embed(self, model, aux, batch):
        """The share of each community in a node's neighbours and the node, which counts once more than they do.

        So the share of its own community, and no other, is above a half.
        """
        shares = jax.nn.one_hot(model.encoder.labels[...], self.n_clusters, dtype=jnp.float32)
        degree = sum_by_target(jnp.ones(len(aux["targets"])), aux, len(shares))[:, None]
        return ((degree + 1) * shares + sum_of_neighbors(shares, aux)) / (2 * degree + 1)

    def assign(self, model, aux, features):
        return (features > 0.5).astype(jnp.float32)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        find = _FindCommunities(n_clusters=self.n_clusters, resolution=self.resolution)
        return (Stage(method=find, steps=0), Stage(method=self, steps=0))

"""A low-pass filter over the edges of a network, then k-means: AGC's filter with AGE's scale, untrained.

Zhang et al., IJCAI 2019 (arXiv 1906.01210) and Cui et al., KDD 2020 (arXiv 2007.01594): neighbours mostly share a
cluster, so features that vary smoothly along the edges say more about it than raw ones. The filter is
``H = (I - (2/3) L)^t X`` with the Laplacian ``L = I - D^-1/2 (A + I) D^-1/2``.

Differs from the papers in: rows of X have length 1, the filtered features are reduced by an SVD, and the clusters
come from k-means on rows of length 1 (AGC: spectral clustering of ``H H^T``; AGE trains an encoder).
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import jax.numpy as jnp
from flax import nnx

from jaxdc.distributed import sharding
from jaxdc.methods.base import Stage, field, register
from jaxdc.methods.parts.networks import edges_of, graph_of, mean_of_neighbors, unit_rows
from jaxdc.methods.shallow import KMeansOfFeatures, Shallow


class _Axes(nnx.Module):
    """The leading right singular vectors ``[width, d]`` of the filtered features."""

    def __init__(self, d: int, width: int):
        self.components = nnx.Variable(jnp.zeros((width, d)))


class _Network(nnx.Module):
    def __init__(self, d: int, width: int):
        self.encoder = _Axes(d, width)


def low_pass(x, edges, n_hops: int):
    """``(I - (2/3) L)^n_hops x``, ``[n, d]``."""
    for _ in range(n_hops):
        x = x / 3 + mean_of_neighbors(x, edges) * (2 / 3)
    return x


def _width(spec, n_components: int) -> int:
    return min(n_components, spec.n_samples, math.prod(spec.shape))


@register("fit_graph_filter", "preparation")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class _FitGraphFilter(Shallow):
    """Finds the singular vectors of the filtered features."""

    n_hops: int = field(at_least=0)
    n_components: int = field(at_least=1)
    clusters: ClassVar[bool] = False
    embeds_together: ClassVar[bool] = True
    refresh_epochs: ClassVar[float | None] = 1.0

    def _empty(self, n_samples, d):
        return {}

    def init(self, key, spec):
        edges = edges_of(graph_of(spec, "the graph filter"))
        return _Network(math.prod(spec.shape), _width(spec, self.n_components)), edges

    def embed(self, model, aux, batch):
        return low_pass(unit_rows(batch["x"]), aux, self.n_hops)

    def refresh(self, model, aux, features, key):
        from sklearn.utils.extmath import randomized_svd

        from jaxdc.methods.shallow import random_state

        components = model.encoder.components
        width = components[...].shape[0]
        _, _, right = randomized_svd(sharding.to_host(features), width, random_state=random_state(key))
        components[...] = jnp.asarray(right, jnp.float32)
        return model, aux

    def assign(self, model, aux, features):
        raise NotImplementedError("this stage makes no clusters")


@register("graph_filter", "network")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphFilter(KMeansOfFeatures):
    """k-means on the features of a network's nodes, averaged over their neighbourhoods.

    Only the nodes of the training have clusters: the features of a node depend on its neighbours.

    Attributes:
      n_hops: applications of the filter: how many edges away a node looks.
      n_components: width of the filtered features, limited by the number of features and nodes.
      n_init: k-means runs; the best is kept.
    """

    n_hops: int = field(8, at_least=0)
    n_components: int = field(32, at_least=1)
    inherits: ClassVar[tuple[str, ...]] = ("encoder",)
    embeds_together: ClassVar[bool] = True

    def init(self, key, spec):
        width = _width(spec, self.n_components)
        centroids = jnp.zeros((self.n_clusters, width))
        aux = {"edges": edges_of(graph_of(spec, "the graph filter")), "centroids": centroids}
        return _Network(math.prod(spec.shape), width), aux

    def embed(self, model, aux, batch):
        # The filter is linear in x, so the narrow product comes first.
        narrow = unit_rows(batch["x"]) @ model.encoder.components[...].T
        return unit_rows(low_pass(narrow, aux["edges"], self.n_hops))

    def refresh(self, model, aux, features, key):
        model, found = super().refresh(model, aux, features, key)
        return model, {**aux, **found}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        settings = {"n_hops": self.n_hops, "n_components": self.n_components}
        fit = _FitGraphFilter(n_clusters=self.n_clusters, **settings)
        return (Stage(method=fit, steps=0), Stage(method=self, steps=0))

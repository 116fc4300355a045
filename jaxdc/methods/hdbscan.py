"""HDBSCAN, scikit-learn's, as a baseline that finds the number of clusters and leaves noise out."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Literal, final

import jax
import jax.numpy as jnp

from jaxdc import cluster
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import field, register
from jaxdc.methods.shallow import Shallow, largest_first


@register("hdbscan", "classic")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class HDBSCAN(Shallow):
    """Density-based clusters of any shape, and noise (Campello, Moulavi and Sander, 2013; McInnes et al., 2017).

    The number of clusters comes from the data. A sample that lies in no dense region belongs to no cluster: its
    probabilities are zeros, and its label is -1. A new sample gets the label of the nearest training sample, or
    none if it is farther away than that sample's own ``min_samples`` nearest neighbours are.

    Attributes:
      n_clusters: most clusters to keep, the largest ones; samples of the others are noise.
      min_cluster_size: fewest samples of a cluster; by default 1% of the samples, and at least 5.
      min_samples: neighbours that make a sample dense; by default min_cluster_size, and at most 10.
      selection: clusters of the most excess of mass (eom), or the finest ones (leaf).
    """

    n_clusters: int = field(256, at_least=2)
    min_cluster_size: int | None = field(None, at_least=2)
    min_samples: int | None = field(None, at_least=1)
    selection: Literal["eom", "leaf"] = "eom"
    finds_n_clusters: ClassVar[bool] = True

    def _empty(self, n_samples, d):
        return {
            "samples": jnp.zeros((n_samples, d)),
            "labels": jnp.zeros(n_samples, jnp.int32),
            "reach": jnp.zeros(n_samples),
        }

    def refresh(self, model, aux, features, key):
        import sklearn.cluster
        from sklearn.neighbors import NearestNeighbors

        del key
        x = sharding.to_host(features)
        size = self.min_cluster_size or max(5, math.ceil(len(x) / 100))
        n_near = min(self.min_samples or min(size, 10), len(x) - 1)
        if size > len(x):
            raise InputError(f"min_cluster_size is {size}, but there are only {len(x)} samples")
        settings: Any = {"min_samples": n_near, "cluster_selection_method": self.selection, "copy": True}
        found = sklearn.cluster.HDBSCAN(size, **settings)
        labels = largest_first(found.fit_predict(x), self.n_clusters)
        if labels.max() < 0:
            raise InputError(
                f"no region of the data is dense enough for a cluster of {size} samples: try a smaller "
                "--min-cluster-size, or a method that assigns every sample"
            )
        reach = NearestNeighbors(n_neighbors=n_near).fit(x).kneighbors()[0][:, -1]
        return model, {
            "samples": jnp.asarray(x),
            "labels": jnp.asarray(labels),
            "reach": jnp.asarray(reach, jnp.float32),
        }

    def assign(self, model, aux, features):
        def label(row):
            nearest = cluster.nearest_centroid(row[None], aux["samples"])[0]
            apart = jnp.linalg.norm(row - aux["samples"][nearest])
            return jnp.where(apart <= aux["reach"][nearest], aux["labels"][nearest], -1)

        # In row blocks, to avoid a full [n, n] matrix of distances. The row of -1 is zeros.
        return jax.nn.one_hot(jax.lax.map(label, features, batch_size=256), self.n_clusters, dtype=jnp.float32)

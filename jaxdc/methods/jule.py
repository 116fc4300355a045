"""JULE: Joint Unsupervised Learning (Yang, Parikh, Batra, CVPR 2016, arXiv 1604.03628).

Clusters merge, and what merged teaches the network. At first chains of nearest neighbours, on the pixels, are the
clusters, about a quarter as many as images. In each period the clusters that are linked most in a graph of nearest
neighbours merge until a share of them is left (``cluster.graph_degree_linkage``, on the host), and for some epochs
the network learns to bring the samples of a cluster together (``losses.triplet``); so until k clusters are left.
These are the answer, the paper's "SF", and a sample gets the cluster of the nearest mean. The paper's "RC" is
scored as well: all samples clustered again, from chains of neighbours of the final embeddings to k clusters.

Differs from the paper in: a ResNet in place of one or two convolutions, and a constant learning rate. In a batch
all samples of other clusters are negatives, where the paper draws 20. An epoch is drawn by cluster, a few samples
of one beside each other, so that small clusters make pairs. Clusters merge before the network has trained for the
first time, where the released code first trains it on the chains, and it trains for one more period on the k that
are left. Pixels keep their length, which that code brings to 1. If an image has more pixels than the embedding is
wide, the first graph is that of a random orthogonal projection of them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import augment, cluster, losses, nn
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import Ending, Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views

TEMPERATURE = 0.1  # of the reported probabilities
PAPER_PERIOD = 20.0


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        side = two_views.check_views(spec, method)
        self.encoder = method.backbone.make(side, spec.shape[2], rngs)
        dtype = method.backbone.dtype
        self.projector = nn.ProjectionHead(
            self.encoder.n_features, None, method.projection, dtype=dtype, rngs=rngs
        )

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, h, w, c] -> z [b, projection], of length 1."""
        return two_views.unit(self.projector(self.encoder(x, train=train), train=train))


@register("jule", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class JULE(two_views.TwoViews):
    """Joint unsupervised learning: clusters merge step by step, and what merged teaches the network.

    Attributes:
      augmentation: size and normalisation of the images; nothing is drawn.
      projection: width of the embeddings.
      n_neighbors: neighbours of each sample in the graph.
      unrolling: share of the clusters that merge in a period, eta; 0.9 in the paper, and 0.2 for faces.
      margin: margin of the triplet loss.
      gamma: weight of the distance within a cluster in it.
      group: samples of a cluster that are drawn beside each other.
      refresh_epochs: epochs of a period.
    """

    augmentation: augment.Original = augment.Original()
    projection: int = field(160, at_least=1)
    n_neighbors: int = field(20, at_least=1)
    unrolling: float = field(0.9, above=0, below=1)
    margin: float = field(0.2, at_least=0)
    gamma: float = field(1.0, above=0)
    group: int = field(5, at_least=2)
    refresh_epochs: float = field(PAPER_PERIOD, above=0)

    refresh_last: ClassVar[bool] = True
    lesson: ClassVar[str] = "a triplet: two samples of a cluster, and one of another"

    def init(self, key, spec):
        if self.n_neighbors >= spec.n_samples:
            raise InputError(
                f"a graph of {self.n_neighbors} neighbours needs more than {spec.n_samples} samples: "
                "lower n_neighbors"
            )
        return _Network(self, spec, nnx.Rngs(key)), {
            "pseudo_labels": jnp.arange(spec.n_samples, dtype=jnp.int32),
            "periods": jnp.zeros((), jnp.int32),  # that were begun
            "at_k": jnp.zeros((), jnp.int32),  # of these, those with k clusters
            "centroids": jnp.zeros((self.n_clusters, self.projection)),
            "centroids_again": jnp.zeros((self.n_clusters, self.projection)),
        }

    def check_batch_size(self, batch_size, spec):
        if batch_size < 3:
            raise InputError("JULE learns from triplets within a batch: batch_size must be at least 3")

    def loss(self, model, aux, batch, key):
        z = model(self.plain(batch["x"]), train=True)
        labels = aux["pseudo_labels"][batch["index"]]
        loss, n_triplets = losses.triplet(z, labels, margin=self.margin, gamma=self.gamma)
        return loss, (aux, {"triplets": n_triplets})

    def learns(self, metrics):
        return metrics["triplets"] > 0

    def embed(self, model, aux, batch):
        """Z [b, projection]; before the first period, the pixels."""
        x = self.plain(batch["x"])
        pixels = x.reshape(len(x), -1)
        pixels = pixels @ _projection(pixels.shape[1], self.projection)
        return jnp.where(aux["periods"] == 0, pixels, model(x))

    def draw(self, aux, key, n_samples):
        """All rows in random order, but a few of one cluster beside each other."""
        shuffle_key, group_key = jax.random.split(key)
        rows = jax.random.permutation(shuffle_key, n_samples)
        labels = aux["pseudo_labels"][rows]
        order = jnp.argsort(labels, stable=True)
        rows, labels = rows[order], labels[order]
        place = jnp.arange(n_samples) - jnp.searchsorted(labels, labels)
        group = jnp.arange(n_samples) - place % self.group  # where its group begins
        return rows[jnp.argsort(jax.random.permutation(group_key, n_samples)[group], stable=True)]

    def refresh(self, model, aux, features, key):
        graph = self._graph(features)
        labels = np.asarray(aux["pseudo_labels"])
        if aux["periods"] == 0:
            labels = cluster.nearest_neighbor_chains(graph[0][:, 0])
        n_now = len(np.unique(labels))
        n_left = max(n_now - math.ceil(self.unrolling * n_now), self.n_clusters)
        labels = cluster.graph_degree_linkage(*graph, labels, n_left)
        return model, {
            **aux,
            "pseudo_labels": jnp.asarray(labels, jnp.int32),
            "periods": aux["periods"] + 1,
            "at_k": aux["at_k"] + (labels.max() < self.n_clusters),
            "centroids": self._centroids(features, cluster.graph_degree_linkage(*graph, labels, self.n_clusters)),
        }

    def finish(self, model, aux, features, key):
        graph = self._graph(features)
        starts = {
            "centroids": np.asarray(aux["pseudo_labels"]),
            "centroids_again": cluster.nearest_neighbor_chains(graph[0][:, 0]),
        }
        merged = {
            name: self._centroids(features, cluster.graph_degree_linkage(*graph, labels, self.n_clusters))
            for name, labels in starts.items()
        }
        return model, {**aux, **merged}

    def _graph(self, features):
        """The nearest other samples of each, and their squared distances."""
        found = cluster.nearest_neighbors(features, self.n_neighbors + 1, metric="euclidean")
        rows, squared = sharding.to_host(found.indices), -sharding.to_host(found.similarities)
        # A sample is its own nearest, but for those that equal it.
        oneself = rows == np.arange(len(rows))[:, None]
        oneself[~oneself.any(axis=1), -1] = True
        others = (len(rows), self.n_neighbors)
        return rows[~oneself].reshape(others), squared[~oneself].reshape(others)

    def _centroids(self, features, labels):
        """Mean of each cluster, and 0 of one that there is not."""
        sums = jax.ops.segment_sum(features.astype(jnp.float32), jnp.asarray(labels), self.n_clusters)
        counts = jnp.bincount(jnp.asarray(labels), length=self.n_clusters)[:, None]
        return sums / jnp.maximum(counts, 1)

    def ending(self, aux):
        """A whole period of training with k clusters was the last."""
        return Ending(f"{self.n_clusters} clusters were left, and were trained on") if aux["at_k"] > 1 else None

    def assign(self, model, aux, features):
        return two_views.nearest(features, aux["centroids"], TEMPERATURE)

    def alternatives(self, model, aux, features):
        return {"re-clustering": two_views.nearest(features, aux["centroids_again"], TEMPERATURE)}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        sgd = Optimizer(name="sgd", learning_rate=0.01, weight_decay=5e-5)
        n_periods = 1 + math.ceil(
            math.log(max(spec.n_samples / 4 / self.n_clusters, 1)) / -math.log1p(-self.unrolling)
        )
        epochs = n_periods * self.refresh_epochs
        batch = 100 if recipe == "paper" else two_views.batch_for(spec, 128)
        return (Stage(method=self, epochs=epochs, batch_size=batch, optimizer=sgd),)


def _projection(n: int, d: int) -> np.ndarray:
    """[n, d] with orthogonal rows of length 1, or orthogonal columns that keep the mean squared length of n."""
    basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(max(n, d), min(n, d))))
    return (basis.T if n <= d else basis * math.sqrt(n / d)).astype(np.float32)

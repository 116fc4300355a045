"""DeepCluster-v2 (Caron, Misra, Mairal, Goyal, Bojanowski, Joulin, NeurIPS 2020, arXiv 2006.09882, appendix D).

DeepCluster without a classifier to learn: the centroids themselves are the prototypes among which an image's
two views find that of its cluster. What is clustered are the embeddings of the epoch before, kept in a
memory bank for each view, so that no pass over the data is needed for it. Then k-means on the features.

Differs from the paper in: two views of full size, no further small crops (multi-crop). Of the embeddings k-means
takes k-means++ starts and gives an empty cluster a sample, where the released code starts at random samples and
leaves it. Before the first epoch both banks hold the plain view's embedding. The learning rate
rises from 0 and falls to 0. The ``fast`` recipe is SGD.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, cluster, losses
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views


@register("deepcluster_v2", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepClusterV2(two_views.TwoViews):
    """DeepCluster-v2 (several sets of prototypes from a memory bank), then k-means on its features.

    Attributes:
      backbone: the encoder; the paper's is a ResNet-50.
      augmentation: what the two views of an image are drawn from; the paper's jitter is twice as strong, and it
        blurs half of the views.
      hidden: width of the projection's ReLU layer; None is that of the features.
      projection: width of z, in which views and prototypes are compared.
      batch_norm: normalise the projection's hidden layer.
      n_heads: sets of prototypes; one after the other they cluster the one view's bank and the other's.
      n_pseudo_clusters: prototypes of each set; None is n_clusters. The paper takes three times the classes.
      temperature: of the softmax over prototypes.
      refresh_epochs: epochs from one clustering to the next; None leaves it to the recipe (paper 1, fast 4), and
        is 1 where there is none.
      embedding: what is clustered at the end, the encoder's "features" or "z".
      n_init: runs of that k-means, of which the best is kept; prototypes, and every refresh before the end, take
        one.
    """

    augmentation: augment.Weak = augment.Weak(crop=(0.08, 1.0))
    hidden: int | None = field(None, at_least=1)
    projection: int = field(128, at_least=1)
    batch_norm: bool = True
    n_heads: int = field(3, at_least=1)
    n_pseudo_clusters: int | None = field(None, at_least=2)
    temperature: float = field(0.1, above=0)
    refresh_epochs: float | None = field(None, above=0)
    embedding: Literal["features", "z"] = "features"
    n_init: int = field(20, at_least=1)

    refresh_last: ClassVar[bool] = True

    def init(self, key, spec):
        n_pseudo = two_views.n_pseudo(self, spec)
        model = two_views.Network(
            self, spec, nnx.Rngs(key), hidden=self.hidden, batch_norm=self.batch_norm, norm_last=False
        )
        width = model.encoder.n_features if self.embedding == "features" else self.projection
        return model, {
            "memory_bank": jnp.zeros((2, spec.n_samples, self.projection)),
            "prototypes": jnp.zeros((self.n_heads, n_pseudo, self.projection)),
            "pseudo_labels": jnp.zeros((self.n_heads, spec.n_samples), jnp.int32),
            "centroids": jnp.zeros((self.n_clusters, width)),
        }

    def loss(self, model, aux, batch, key):
        z = model(self.views(key, batch["x"]), train=True)
        temperatures = jnp.full(aux["prototypes"].shape[1], self.temperature)
        each = []
        for prototypes, labels in zip(aux["prototypes"], aux["pseudo_labels"], strict=True):
            own = jnp.repeat(labels[batch["index"]], 2)
            each.append(losses.proto_nce(z, prototypes, temperatures, own))
        of_views = jax.lax.stop_gradient(two_views.unit(jnp.stack(two_views.apart(z))))
        # Both banks at once: one gathering of what enters them.
        bank = aux["memory_bank"].at[:, batch["index"]].set(of_views)
        return jnp.mean(jnp.stack(each)), ({**aux, "memory_bank": bank}, {})

    def chance(self, batch_size, spec):
        return {"loss": math.log(two_views.n_pseudo(self, spec))}

    def refresh(self, model, aux, features, key):
        bank = aux["memory_bank"]
        if not jnp.any(bank):  # nothing has been trained yet
            bank = jnp.stack([two_views.unit(model.projector(features))] * 2)
        *keys, reported_key = jax.random.split(key, self.n_heads + 1)
        n_pseudo = aux["prototypes"].shape[1]
        heads = [
            cluster.k_means(of_head, bank[i % 2], n_pseudo, n_iterations=10, spherical=True)
            for i, of_head in enumerate(keys)
        ]
        return model, {
            "memory_bank": bank,
            "prototypes": jnp.stack([head.centroids for head in heads]),
            "pseudo_labels": jnp.stack([head.labels for head in heads]),
            "centroids": two_views.k_means_centroids(
                reported_key, self._clustered(model, features), self, n_init=1
            ),
        }

    def finish(self, model, aux, features, key):
        centroids = two_views.k_means_centroids(key, self._clustered(model, features), self)
        return model, {**aux, "centroids": centroids}

    def _clustered(self, model, features):
        return two_views.unit(features if self.embedding == "features" else model.projector(features))

    def assign(self, model, aux, features):
        return two_views.nearest(self._clustered(model, features), aux["centroids"], self.temperature)

    @property
    def epochs_between_refreshes(self):
        return 1.0 if self.refresh_epochs is None else self.refresh_epochs

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":
            # 4.8 for 4,096 images.
            lars = Optimizer(
                name="lars",
                learning_rate=0.3,
                weight_decay=1e-6,
                batch_scaling="linear",
                warmup_epochs=10,
                cosine=True,
            )
            backbone = self.backbone.or_else(depth=50)
            method = dataclasses.replace(self, backbone=backbone)
            return (Stage(method=method, epochs=400, batch_size=4096, optimizer=lars),)
        sgd = Optimizer(name="sgd", learning_rate=0.2, weight_decay=1e-4, batch_scaling="linear", cosine=True)
        every = self.refresh_epochs or two_views.FAST_REFRESH_EPOCHS
        method = dataclasses.replace(self, refresh_epochs=every)
        return method.fast(spec, epochs=340, optimizer=sgd)

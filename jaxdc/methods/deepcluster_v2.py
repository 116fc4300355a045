"""DeepCluster-v2 (Caron, Misra, Mairal, Goyal, Bojanowski, Joulin, NeurIPS 2020, arXiv 2006.09882, appendix D).

DeepCluster without a learned classifier: the centroids themselves are prototypes, and both views of an image
learn to predict its cluster among them. The clustered embeddings come from the previous epoch, kept in a memory
bank for each view, so no extra pass over the data is needed. Then k-means on the features.

Differs from the paper in: two views of full size, without additional small crops (multi-crop). k-means on the
embeddings starts with k-means++ and gives an empty cluster a sample; the released code starts with random samples
and leaves it empty. Before the first epoch, both banks hold the embedding of the plain view. The learning rate
rises from 0 and falls to 0. The ``fast`` recipe uses SGD.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.cluster import layout
from jaxdc.methods.base import Optimizer, Stage, field, register, restarts
from jaxdc.methods.parts import two_views
from jaxdc.methods.parts.k_means import best_k_means


@register("deepcluster_v2", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepClusterV2(two_views.TwoViews):
    """DeepCluster-v2 (several sets of prototypes from a memory bank), then k-means on its features.

    Attributes:
      backbone: the encoder; the paper's is a ResNet-50.
      augmentation: augmentation for the two views; the paper's jitter is twice as strong, and it blurs half of the
        views.
      hidden: width of the projection's ReLU layer; None is the width of the features.
      projection: width of z, in which views and prototypes are compared.
      batch_norm: use batch normalisation in the projection's hidden layer.
      n_heads: number of sets of prototypes, which alternately cluster the banks of the first and the second view.
      n_pseudo_clusters: prototypes per set; None is n_clusters. The paper takes three times the classes.
      temperature: softmax temperature over prototypes.
      refresh_epochs: epochs between two clusterings; None uses the recipe's value (paper 1, fast 4), or 1 without
        a recipe.
      embedding: features that k-means clusters at the end: the encoder's "features" or "z".
      n_init: runs of the final k-means; the best is kept; prototypes and earlier refreshes take one
        run.
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
    n_init: int = restarts(20)

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
        # Both banks at once, so that new entries are gathered only once.
        bank = aux["memory_bank"].at[:, batch["index"]].set(of_views)
        return jnp.mean(jnp.stack(each)), ({**aux, "memory_bank": bank}, {})

    def chance(self, batch_size, spec):
        return {"loss": math.log(two_views.n_pseudo(self, spec))}

    def refresh(self, model, aux, features, key):
        bank = aux["memory_bank"]
        if not jnp.any(bank):  # nothing has been trained yet
            bank = jnp.stack([two_views.unit(layout.by_rows(model.projector, features))] * 2)
        *keys, reported_key = jax.random.split(key, self.n_heads + 1)
        n_pseudo = aux["prototypes"].shape[1]
        heads = [
            best_k_means(of_head, bank[i % 2], n_pseudo, n_iterations=10, spherical=True)
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
        if self.embedding == "z":
            features = layout.by_rows(model.projector, features)
        return two_views.unit(features)

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

"""Local Aggregation (Zhuang, Zhai, Yamins, ICCV 2019, arXiv 1903.12355), then k-means on its features.

Instance discrimination with a memory bank at first; then an image finds not itself but its close neighbours, those
that share its cluster in any of several runs of k-means on the bank, among the entries nearest to it
(``losses.local_aggregation``).

Differs from the paper in: instance discrimination compares with the whole bank, not with a sample of it; there are
as many small clusters as a fortieth of the images, the paper's 30,000 on ImageNet's 1.28 million.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.methods.base import Optimizer, Stage, field, register, restarts
from jaxdc.methods.parts import handwriting, two_views
from jaxdc.methods.parts.k_means import best_k_means

N_ITERATIONS = 20  # in a k-means run on the bank


@register("local_agg", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalAggregation(handwriting.Handwriting, two_views.KMeansAfter):
    """Local Aggregation (close neighbours in a memory bank attract), then k-means on its features.

    Attributes:
      augmentation: augmentation of the view, for images other than handwriting.
      projection: width of z, which the memory bank holds.
      temperature: softmax temperature of the loss, and of the reported probabilities.
      momentum: share of the old entry kept in an update of the memory bank.
      n_clusterings: runs of k-means on the bank, of which any may say that two images are close.
      n_pseudo_clusters: clusters of each; None is a fortieth of the samples, and at least n_clusters.
      n_background: entries of the bank nearest to a sample with which it is compared; None is 4,096, or half of
        the samples, if that is less.
      warmup_epochs: epochs of instance discrimination alone; None is a twentieth of the training, 10 of the
        paper's 200.
      refresh_epochs: epochs between two clusterings of the bank.
      n_init: runs of the last k-means on the features; the best is kept; earlier ones take one.
    """

    augmentation: augment.Weak = augment.Weak(jitter=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0)
    temperature: float = field(0.07, above=0)
    momentum: float = field(0.5, at_least=0, below=1)
    n_clusterings: int = field(10, at_least=1)
    n_pseudo_clusters: int | None = field(None, at_least=2)
    n_background: int | None = field(None, at_least=1)
    warmup_epochs: float | None = field(None, at_least=0)
    refresh_epochs: float = field(1.0, above=0)
    n_init: int = restarts(20)

    refresh_last: ClassVar[bool] = True

    def init(self, key, spec):
        network_key, bank_key = jax.random.split(key)
        model = two_views.Network(self, spec, nnx.Rngs(network_key), linear=True)
        wanted = dataclasses.replace(self, n_pseudo_clusters=self._n_pseudo(spec.n_samples))
        two_views.n_pseudo(wanted, spec)  # refuses more than there are samples
        return model, {
            "memory_bank": two_views.unit(jax.random.normal(bank_key, (spec.n_samples, self.projection))),
            "pseudo_labels": jnp.zeros((self.n_clusterings, spec.n_samples), jnp.int32),
            "centroids": self.no_centroids(model),
        }

    def _n_pseudo(self, n_samples):
        return self.n_pseudo_clusters or max(n_samples // 40, self.n_clusters)

    def for_length(self, epochs):
        if self.warmup_epochs is not None:
            return self
        return dataclasses.replace(self, warmup_epochs=float(round(epochs / 20)))

    def loss(self, model, aux, batch, key):
        z = model(self.perturbed(key, batch["x"]), train=True)
        bank, index = aux["memory_bank"], batch["index"]
        instance = losses.instance_discrimination(z, bank, index, temperature=self.temperature)
        aggregated = losses.local_aggregation(
            z,
            bank,
            index,
            aux["pseudo_labels"],
            n_background=self.n_background or max(min(4096, len(bank) // 2), 1),
            temperature=self.temperature,
        )
        warming_up = batch["epoch"] < (self.warmup_epochs or 0.0)
        loss = jnp.mean(jnp.where(warming_up, instance, aggregated))
        bank = losses.update_memory_bank(bank, z, index, momentum=self.momentum)
        return loss, ({**aux, "memory_bank": bank}, {"instance": jnp.mean(instance)})

    def chance(self, batch_size, spec):
        return {"instance": math.log(spec.n_samples)}

    def refresh(self, model, aux, features, key):
        centroids_key, *keys = jax.random.split(key, 1 + self.n_clusterings)
        bank = aux["memory_bank"]
        n_pseudo = self._n_pseudo(len(bank))
        runs = {"n_iterations": N_ITERATIONS, "init": "random"}
        labels = jnp.stack([best_k_means(each, bank, n_pseudo, **runs).labels for each in keys])
        centroids = two_views.k_means_centroids(centroids_key, features, self, n_init=1)
        return model, {**aux, "pseudo_labels": labels, "centroids": centroids}

    def finish(self, model, aux, features, key):
        return model, {**aux, "centroids": two_views.k_means_centroids(key, features, self)}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        # The paper's 0.03 is for 128 images; it drops at epochs 160 and 190 of 200.
        sgd = Optimizer(
            name="sgd",
            learning_rate=0.06,
            weight_decay=1e-4,
            batch_scaling="linear",
            decay_at=(0.8, 0.95),
        )
        if recipe == "paper":
            method = dataclasses.replace(self, backbone=self.backbone.or_else(depth=50))
            return (Stage(method=method, epochs=200, batch_size=128, optimizer=sgd),)
        return self.fast(spec, epochs=600, optimizer=sgd)

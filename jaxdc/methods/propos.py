"""ProPos: prototype scattering and positive sampling (Huang, Chen, Zhang, Shan, TPAMI 2022, arXiv 2111.11821).

BYOL, and the mean directions of the clusters in a batch repel each other (``losses.prototype_scattering``). What
predicts the other view is not an embedding itself but a point drawn close to it. The clusters come from spherical
k-means on the momentum encoder's embeddings of all images, again every epoch, and are the result.

Differs from the paper in: targets and clustered embeddings are computed with averages of running statistics
(EMAN, see ``moco.py``); the predictor starts like the projection; the learning rate falls along the cosine to 0 at
the end, where the released code's falls to 0.6% of it. The ``fast`` recipe is shorter, with smaller heads.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

import jax
import jax.numpy as jnp

from jaxdc import augment, cluster, losses
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register, restarts
from jaxdc.methods.parts import bootstrap, two_views
from jaxdc.methods.parts.k_means import best_k_means


@register("propos", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class ProPos(bootstrap.Bootstrap):
    """ProPos (BYOL whose clusters repel each other).

    Attributes:
      augmentation: augmentation of both views, for images other than handwriting.
      momentum: share of the momentum encoder kept in the first step, which rises to 1 along a cosine.
      rising: whether it rises; the paper's momentum stays as it is on CIFAR-10.
      noise: standard deviation of the point around an embedding that predicts the other view.
      scattering_weight: weight of the scattering.
      temperature: softmax temperature of the scattering, and of the reported probabilities.
      warmup_epochs: epochs of BYOL alone, without noise and scattering; None is a twentieth of the training, 50 of
        the paper's 1,000.
      uniform: draw an epoch's images uniformly over the clusters, for data of many classes.
      refresh_epochs: epochs between two clusterings.
      n_init: runs of the last k-means, of which the best is kept; earlier ones take one.
    """

    augmentation: augment.Weak = augment.Weak(crop=(0.08, 1.0))
    momentum: float = field(0.996, at_least=0, below=1)
    rising: bool = True
    noise: float = field(0.001, at_least=0)
    scattering_weight: float = field(0.1, at_least=0)
    temperature: float = field(0.5, above=0)
    warmup_epochs: float | None = field(None, at_least=0)
    uniform: bool = False
    refresh_epochs: float = field(1.0, above=0)
    n_init: int = restarts(20)

    refresh_last: ClassVar[bool] = True

    def init(self, key, spec):
        model, aux = self.start(key, spec)
        return model, {
            **aux,
            "pseudo_labels": jnp.zeros(spec.n_samples, jnp.int32),
            "centroids": jnp.zeros((self.n_clusters, self.projection)),
        }

    def for_length(self, epochs):
        method = super().for_length(epochs) if self.rising else self
        if self.warmup_epochs is not None:
            return method
        return dataclasses.replace(method, warmup_epochs=float(round(epochs / 20)))

    def check_length(self, epochs):
        if (self.warmup_epochs or 0.0) > epochs:
            raise InputError(
                f"the warm-up of {self.warmup_epochs:g} epochs is longer than the training of {epochs:g}, which "
                "would never use clusters: lower warmup_epochs, or train longer"
            )

    def draw(self, aux, key, n_samples):
        if not self.uniform:
            return super().draw(aux, key, n_samples)
        return cluster.balanced_order(key, aux["pseudo_labels"], self.n_clusters)

    def loss(self, model, aux, batch, key):
        views_key, *noise_keys = jax.random.split(key, 3)
        views = augment.two_views(views_key, batch["x"], self.preset(batch["x"].shape[-1]))
        (z, targets), aux = self.embedded(model, aux, batch, views, self.momentum)
        ready = (batch["epoch"] >= (self.warmup_epochs or 0.0)).astype(jnp.float32)
        near1, near2 = (
            each + ready * self.noise * jax.random.normal(noise_key, each.shape)
            for each, noise_key in zip(z, noise_keys, strict=True)
        )
        first, second = bootstrap.cross_prediction(model, (near1, near2), targets)
        alignment = jnp.mean(first + second) / 2
        labels = aux["pseudo_labels"][batch["index"]]
        scattering = sum(
            losses.prototype_scattering(*pair, labels, self.n_clusters, temperature=self.temperature)
            for pair in zip(z, targets[::-1], strict=True)
        )
        scattering = ready * self.scattering_weight * scattering / 2
        metrics = {"alignment": alignment, "scattering": scattering, "spread": bootstrap.spread(z[0])}
        return alignment + scattering, (aux, metrics)

    def chance(self, batch_size, spec):
        return {"alignment": 2.0}

    def embed(self, model, aux, batch):
        return two_views.unit(bootstrap.teacher(model, aux)(self.plain(batch["x"])))

    def refresh(self, model, aux, features, key):
        return model, self._clustered(aux, features, key, n_init=1)

    def finish(self, model, aux, features, key):
        return model, self._clustered(aux, features, key, n_init=self.n_init)

    def _clustered(self, aux, features, key, n_init):
        found = best_k_means(key, features, self.n_clusters, n_init=n_init, spherical=True)
        return {**aux, "pseudo_labels": found.labels, "centroids": found.centroids}

    def assign(self, model, aux, features):
        return two_views.nearest(features, aux["centroids"], self.temperature)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        sgd = Optimizer(
            name="sgd",
            learning_rate=0.05,
            weight_decay=5e-4,
            warmup_epochs=50,
            cosine=True,
            predictor_rate=10.0,
        )
        if recipe == "paper":
            backbone = self.backbone.or_else(depth=34)
            method = dataclasses.replace(self, backbone=backbone, hidden=self.hidden or 4096)
            return (Stage(method=method, epochs=1000, batch_size=256, optimizer=sgd),)
        short = dataclasses.replace(sgd, warmup_epochs=15, batch_scaling="linear")
        return self.fast(spec, epochs=270, optimizer=short)

"""ADC: Associative Deep Clustering (Haeusser, Plapp, Golkov, Aljalbout, Cremers, GCPR 2018).

Every cluster has a few centroids, which are trained in the space of the embeddings. A walk from a centroid to an
image and back shall end in the same cluster, and all images shall be visited (``losses.association``). The same
walk from the perturbed views of an image, over plain images, shall end at a view of the same image, which tells
images apart. A linear layer learns the cluster of each centroid and is read off on images.

First the views' walks alone train the network. Then k-means on all embeddings places the centroids, and the
clusters' walks begin.

Differs from the paper in: a ResNet in place of its network of seven layers, without dropout; the views of
handwriting are those of IIC, and those of other images SimCLR's; Adam's usual moments, and a cosine in place of
steps; only the centroids and the linear layer begin anew after k-means, not the whole optimizer. The linear layer
begins as k-means' own rule, the nearest mean. The transformation loss, which the released code gives no weight, is
left out. Restarts of bad runs, which that code decides by labels, are not here.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import losses, nn
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import handwriting, two_views
from jaxdc.methods.parts.k_means import best_k_means

SPREAD, NOISE, JITTER = 0.3, 0.01, 1e-4  # of centroids: between clusters and within one at first, after k-means


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        self.encoder = method.backbone.make(method.side(spec), spec.shape[2], rngs)
        k, c, d, dtype = method.n_clusters, method.n_centroids, method.projection, method.backbone.dtype
        self.projector = nn.ProjectionHead(self.encoder.n_features, None, d, dtype=dtype, rngs=rngs)
        self.head = nn.ClusterHead(d, None, k, dtype=dtype, rngs=rngs)
        means = SPREAD * jax.random.normal(rngs.params(), (k, 1, d))
        noise = jax.random.uniform(rngs.params(), (k, c, d), minval=-NOISE, maxval=NOISE)
        self.centroids = nnx.Param((means + noise).reshape(k * c, d))

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, h, w, c] -> z [b, projection]."""
        return self.projector(self.encoder(x, train=train), train=train)


@register("adc", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class ADC(handwriting.RepeatedViews):
    """Associative Deep Clustering: walks from centroids to images and back.

    Attributes:
      projection: width of the embeddings, z.
      n_centroids: centroids of each cluster.
      walker_weight: weight of the clusters' walks that end in another cluster.
      visit_weight: weight of uneven visits of their walks.
      views_weight: weight of both terms of the views' walks once there are clusters; before, it is 1.
      logit_weight: weight of the cross-entropy of the layer that reads clusters off.
      norm_weight: weight of the squared distance between an embedding's length and 1.
      pretext_epochs: epochs in which only the views' walks train, before k-means places the centroids; None: a
        tenth of the stage.
      n_init: runs of k-means, of which the best is kept.
    """

    projection: int = field(128, at_least=1)
    n_centroids: int = field(4, at_least=1)
    walker_weight: float = field(1.0, at_least=0)
    visit_weight: float = field(1.0, at_least=0)
    views_weight: float = field(0.2, at_least=0)
    logit_weight: float = field(0.5, at_least=0)
    norm_weight: float = field(2e-4, at_least=0)
    pretext_epochs: float | None = field(None, at_least=0)
    n_init: int = field(20, at_least=1)

    refresh_last: ClassVar[bool] = True

    def for_length(self, epochs):
        return self if self.pretext_epochs is not None else dataclasses.replace(self, pretext_epochs=epochs / 10)

    @property
    def epochs_between_refreshes(self):
        return self.pretext_epochs or 1.0

    def init(self, key, spec):
        # "placed" says whether k-means has placed the centroids.
        aux = {"refreshed": jnp.zeros((), bool), "placed": jnp.zeros((), bool)}
        return _Network(self, spec, nnx.Rngs(key)), aux

    def loss(self, model, aux, batch, key):
        b, r = len(batch["x"]), self.repeats
        z = model(self.repeated_views(key, batch["x"]), train=True)
        views = z.reshape(b, 1 + r, -1)
        plain, copies = views[:, 0], views[:, 1:].reshape(b * r, -1)
        centroids, labels = model.centroids[...], self._labels()
        walker, visit = losses.association(centroids, plain, labels)
        view_walker, view_visit = losses.association(copies, plain, jnp.repeat(jnp.arange(b, dtype=jnp.int32), r))
        logits = jax.nn.log_softmax(model.head(centroids), axis=1)
        logit = -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))
        lengths = jnp.sum(z * two_views.unit(z), axis=1)
        clusters = self.walker_weight * walker + self.visit_weight * visit + self.logit_weight * logit
        loss = jnp.where(aux["placed"], self.views_weight, 1.0) * (view_walker + view_visit)
        loss = loss + jnp.where(aux["placed"], clusters, 0.0)
        loss = loss + self.norm_weight * jnp.mean((lengths - 1) ** 2)
        parts = {"walker": walker, "visit": visit, "view_walker": view_walker, "view_visit": view_visit}
        return loss, (aux, parts)

    def _labels(self):
        return jnp.repeat(jnp.arange(self.n_clusters, dtype=jnp.int32), self.n_centroids)

    def chance(self, batch_size, spec):
        return {"view_walker": float(np.log(batch_size * self.repeats))}

    def embed(self, model, aux, batch):
        return model(self.plain(batch["x"]))

    def refresh(self, model, aux, features, key):
        is_due = aux["refreshed"] or self.pretext_epochs == 0
        if is_due and not aux["placed"]:
            self._place(model, features, key)
            return model, {**aux, "placed": jnp.ones((), bool)}
        return model, {**aux, "refreshed": jnp.ones((), bool)}

    def _place(self, model, features, key):
        """Puts the centroids, and what reads clusters off, to the means of k-means."""
        means_key, noise_key = jax.random.split(key)
        means = best_k_means(means_key, features, self.n_clusters, n_init=self.n_init).centroids
        means = means.astype(jnp.float32)
        noise = JITTER * jax.random.normal(noise_key, model.centroids.shape)
        model.centroids[...] = jnp.repeat(means, self.n_centroids, axis=0) + noise
        (layer,) = model.head.mlp.layers
        layer.kernel[...] = means.T
        layer.bias[...] = -0.5 * jnp.sum(means**2, axis=1)

    def assign(self, model, aux, features):
        return jax.nn.softmax(model.head(features), axis=1)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        adam = Optimizer(learning_rate=1e-3, weight_decay=1e-3, cosine=True)
        if recipe == "paper":
            adam = dataclasses.replace(adam, warmup_epochs=200_000 / spec.n_samples)  # 2,000 steps
            return (Stage(method=self, steps=10_000, batch_size=100, optimizer=adam),)
        adam = dataclasses.replace(adam, weight_decay=1e-4)
        return (two_views.fast_stage(self, spec, epochs=60, batch_size=128, optimizer=adam),)

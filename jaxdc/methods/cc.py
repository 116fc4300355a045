"""CC: Contrastive Clustering (Li, Hu, Liu, Peng, Zhou, Peng, AAAI 2021, arXiv 2009.09687).

Two heads share one encoder. In one the rows of the output (instances) are contrasted across two views, in the
other the columns (clusters). The softmax of the cluster head is the assignment; no k-means is needed.

Differs from the paper in: the ``fast`` recipe keeps the images' own size with a 3x3 stem, and trains a
ResNet-18 with SGD and cosine decay, like SCAN's pretext. With
``heads="instance"`` (an ablation in the paper) k-means clusters the features at the end. STL-10's unlabelled
images share batches with the others (``n_clustered``); in the released code they have their own batches.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register, restarts
from jaxdc.methods.parts import two_views


class _Network(two_views.Network):
    def __init__(self, method, spec, rngs):
        super().__init__(method, spec, rngs)
        n, dtype = self.encoder.n_features, method.backbone.dtype
        self.head = nn.ClusterHead(n, n, method.n_clusters, dtype=dtype, rngs=rngs)


@register("cc", "contrastive")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class CC(two_views.TwoViews):
    """Contrastive Clustering.

    Attributes:
      backbone: the encoder; the paper's is a ResNet-34.
      augmentation: augmentation for the two views; the paper recipe resizes them to 224 pixels.
      projection: width of z, in which instances are compared.
      instance_temperature: softmax temperature of the instance contrast.
      cluster_temperature: softmax temperature of the cluster contrast.
      heads: "both", or an ablation with only the "instance" or the "cluster" head.
      augmented: "both" views, or an ablation: "one" of them, or "none".
      n_clustered: number of leading samples that take part in the cluster contrast; the others take part only in
        the instance contrast, like STL-10's unlabelled images in the paper. None: all samples.
      entropy_weight: weight of the entropy term that balances the clusters; with 0 they collapse.
      block_size: number of samples to contrast instances with at a time, to save memory; None: all at once.
      refresh_epochs: epochs between two health checks of the clusters; they do not affect training.
      n_init: k-means runs at the end, used with the instance head alone; earlier checks take one run.
    """

    augmentation: augment.Weak = augment.Weak(crop=(0.08, 1.0))
    projection: int = field(128, at_least=1)
    instance_temperature: float = field(0.5, above=0)
    cluster_temperature: float = field(1.0, above=0)
    heads: Literal["both", "instance", "cluster"] = "both"
    augmented: Literal["both", "one", "none"] = "both"
    n_clustered: int | None = field(None, at_least=1)
    entropy_weight: float = field(1.0, at_least=0)
    block_size: int | None = field(None, at_least=1)
    refresh_epochs: float = field(10.0, above=0)
    n_init: int = restarts(20)

    refresh_last: ClassVar[bool] = True

    def init(self, key, spec):
        if (self.n_clustered or 0) > spec.n_samples:
            raise InputError(f"n_clustered is {self.n_clustered}, but there are {spec.n_samples} samples")
        model = _Network(self, spec, nnx.Rngs(key))
        return model, {"centroids": jnp.zeros((self.n_clusters, model.encoder.n_features))}

    def loss(self, model, aux, batch, key):
        features = model.encoder(two_views.side_by_side(*self._views(key, batch["x"])), train=True)
        parts = {}
        if self.heads != "cluster":
            z1, z2 = two_views.apart(model.projector(features))
            instances = losses.nt_xent(z1, z2, temperature=self.instance_temperature, block_size=self.block_size)
            parts["instance"] = jnp.mean(instances)
        if self.heads != "instance":
            probs1, probs2 = two_views.apart(jax.nn.softmax(model.head(features), axis=1))
            if self.n_clustered is not None:
                # A row of zeros contributes nothing to any column.
                clustered = (batch["index"] < self.n_clustered)[:, None]
                probs1, probs2 = probs1 * clustered, probs2 * clustered
            clusters = losses.cluster_nt_xent(probs1, probs2, temperature=self.cluster_temperature)
            parts["cluster"] = jnp.mean(clusters)
            # As in the released code: 0 if the clusters are balanced.
            imbalance = 2 * math.log(self.n_clusters) - losses.mean_entropy(probs1) - losses.mean_entropy(probs2)
            parts["imbalance"] = self.entropy_weight * imbalance
        return sum(parts.values()), (aux, parts)

    def chance(self, batch_size, spec):
        of_heads = {"instance": math.log(2 * batch_size - 1), "cluster": math.log(2 * self.n_clusters - 1)}
        return of_heads if self.heads == "both" else {self.heads: of_heads[self.heads]}

    def _views(self, key, x):
        view1, view2 = augment.two_views(key, x, self.augmentation)
        plain = self.plain(x)
        return {"both": (view1, view2), "one": (view1, plain), "none": (plain, plain)}[self.augmented]

    def refresh(self, model, aux, features, key):
        if self.heads == "instance":
            aux = {"centroids": two_views.k_means_centroids(key, two_views.unit(features), self, n_init=1)}
        return model, aux

    def finish(self, model, aux, features, key):
        if self.heads == "instance":
            aux = {"centroids": two_views.k_means_centroids(key, two_views.unit(features), self)}
        return model, aux

    def assign(self, model, aux, features):
        if self.heads == "instance":
            return two_views.nearest(two_views.unit(features), aux["centroids"], self.instance_temperature)
        return jax.nn.softmax(model.head(features), axis=1)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":
            views = self.augmentation
            if not isinstance(views, augment.Spectrogram):  # which keeps its size
                views = dataclasses.replace(views, size=views.size or 224)
            method = dataclasses.replace(self, backbone=self.backbone.or_else(depth=34), augmentation=views)
            adam = Optimizer(name="adam", learning_rate=3e-4)
            return (Stage(method=method, epochs=1000, batch_size=256, optimizer=adam),)
        sgd = Optimizer(name="sgd", learning_rate=0.2, weight_decay=1e-4, batch_scaling="linear", cosine=True)
        return self.fast(spec, epochs=340, optimizer=sgd)

"""MoCo v2 (Chen, Fan, Girshick, He, 2020, arXiv 2003.04297; MoCo: He et al., CVPR 2020, arXiv 1911.05722).

A query identifies the key of another view of the same image, computed by a slowly moving copy of the encoder,
among a queue of keys from earlier batches: many negatives without large batches. Then k-means on the features.

Differs from the paper in: batch statistics here cover the global batch, so a key encoder that normalised its own
batch would leak the keys to the queries. Instead of the paper's shuffling over devices, it normalises with a
moving average of the query encoder's running statistics (EMAN, Cai et al., CVPR 2021, arXiv 2101.08482). That
average starts fast: at step t it keeps at most (1 + t) / (10 + t) of the old statistics. The queue starts
empty instead of with random keys, because the easiest way to tell those from true keys is to make all true
keys alike. The views come from ``augment.Weak``, by default without blur.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, final

from flax import nnx

from jaxdc import augment
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import momentum, two_views


@register("moco", "contrastive")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class MoCo(two_views.KMeansAfter):
    """MoCo v2 (momentum encoder, queue), then k-means on its features.

    Attributes:
      augmentation: augmentation for the views of query and key.
      hidden: width of the projection's ReLU layer; None is the width of the features.
      temperature: softmax temperature of InfoNCE; None uses the recipe's value (paper 0.2; fast, with views up to
        64 pixels, 0.1), or 0.2 without a recipe.
      momentum: share of the momentum encoder kept in each step; None uses the recipe's value (paper 0.999; fast,
        with views up to 64 pixels, 0.99), or 0.999 without a recipe.
      queue_size: number of keys in the queue; None uses the recipe's value (paper 65,536, fast 4,096), limited by
        the number of samples.
      embedding: features that k-means clusters: the encoder's "features" or "z".
    """

    augmentation: augment.Weak = augment.Weak()
    hidden: int | None = field(None, at_least=1)
    temperature: float | None = field(None, above=0)
    momentum: float | None = field(None, at_least=0, below=1)
    queue_size: int | None = field(None, at_least=1)
    embedding: Literal["features", "z"] = "features"

    def init(self, key, spec):
        model = two_views.Network(self, spec, nnx.Rngs(key), hidden=self.hidden)
        aux = momentum.start(model, queue_size=self._queue_size(spec), width=self.projection)
        return model, {**aux, "centroids": self.no_centroids(model)}

    def _queue_size(self, spec):
        return self.queue_size or min(4096, spec.n_samples)

    def check_batch_size(self, batch_size, spec):
        momentum.check_queue(self._queue_size(spec), batch_size)

    def loss(self, model, aux, batch, key):
        views = augment.two_views(key, batch["x"], self.augmentation)
        queries, keys, new = momentum.step(model, aux, views, momentum.or_paper(self.momentum))
        loss = momentum.info_nce(queries, keys, aux, self.odds)
        return loss, (new, {"instance": loss})

    @property
    def odds(self):
        return 0.2 if self.temperature is None else self.temperature

    def chance(self, batch_size, spec):
        return {"instance": math.log(1 + self._queue_size(spec))}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        sgd = Optimizer(name="sgd", learning_rate=0.03, weight_decay=1e-4, batch_scaling="linear", cosine=True)
        if recipe == "paper":
            size = self.queue_size or min(65_536, spec.n_samples)
            backbone = self.backbone.or_else(depth=50)
            method = dataclasses.replace(self, queue_size=size, backbone=backbone)
            return (Stage(method=method, epochs=200, batch_size=256, optimizer=sgd),)
        if not two_views.views_are_small(self, spec):
            return self.fast(spec, epochs=600, optimizer=sgd)
        # The paper's settings are ImageNet's. These are meant for images as small as CIFAR's, which train for
        # fewer steps: a slower average would stay behind.
        method = dataclasses.replace(
            self,
            temperature=0.1 if self.temperature is None else self.temperature,
            momentum=momentum.SMALL if self.momentum is None else self.momentum,
        )
        return method.fast(spec, epochs=600, optimizer=dataclasses.replace(sgd, weight_decay=5e-4))

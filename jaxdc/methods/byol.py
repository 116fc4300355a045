"""BYOL: Bootstrap Your Own Latent (Grill et al., NeurIPS 2020, arXiv 2006.07733), then k-means on its features.

The embedding of one view predicts that of the other by a slowly moving copy of the network. No sample is pushed
away from another, so small batches do; what keeps all embeddings from being equal are the predictor, and targets
without gradient.

Differs from the paper in: targets are computed with averages of the network's running statistics (EMAN, see
``moco.py``), where the released code normalises them by their own batch; the copy moves before a step in place of
after it. The metric ``spread`` falls from about 1 to 0 if the embeddings collapse, which the loss doesn't show.
The ``fast`` recipe uses SGD.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, final

import jax.numpy as jnp

from jaxdc import augment
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import bootstrap, two_views


@register("byol", "contrastive")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class BYOL(bootstrap.Bootstrap, two_views.KMeansAfter):
    """BYOL (one view predicts the other, without negatives), then k-means on its features.

    Attributes:
      blur: probabilities of blurring the first and the second view; None uses the recipe's value (paper 1 and
        0.1), or the augmentation's own.
      solarize: probabilities of solarizing them; None as for blur (paper 0 and 0.2).
      momentum: share of the momentum encoder kept in the first step, which rises to 1 along a cosine; None uses
        the recipe's value (paper 0.996, for 1,000 epochs; fast 0.99), or 0.99 without a recipe.
      temperature: softmax temperature of the reported probabilities.
    """

    augmentation: augment.Weak = augment.Weak(crop=(0.08, 1.0), jitter=(0.4, 0.4, 0.2, 0.1))
    projection: int = field(256, at_least=1)
    blur: tuple[float, float] | None = field(None, at_least=0, at_most=1)
    solarize: tuple[float, float] | None = field(None, at_least=0, at_most=1)
    momentum: float | None = field(None, at_least=0, below=1)
    temperature: float = field(0.5, above=0)

    embedding: ClassVar[str] = "features"

    def init(self, key, spec):
        model, aux = self.start(key, spec)
        return model, {**aux, "centroids": self.no_centroids(model)}

    def loss(self, model, aux, batch, key):
        share = 0.99 if self.momentum is None else self.momentum
        of_views, aux = self.embedded(model, aux, batch, self._pair(key, batch["x"]), share)
        first, second = bootstrap.cross_prediction(model, *of_views)
        return jnp.mean(first + second), (aux, {"spread": bootstrap.spread(of_views.z[0])})

    def _pair(self, key, x):
        preset = self.preset(x.shape[-1])
        if self.is_handwriting(x.shape[-1]):
            return augment.two_views(key, x, preset)
        settings = {"blur_probability": self.blur, "solarize_probability": self.solarize}
        first, second = (
            dataclasses.replace(preset, **{name: pair[i] for name, pair in settings.items() if pair})
            for i in range(2)
        )
        return augment.two_views(key, x, first, second)

    def chance(self, batch_size, spec):
        return {"loss": 4.0}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":
            lars = Optimizer(
                name="lars",
                learning_rate=0.2,
                weight_decay=1.5e-6,
                batch_scaling="linear",
                warmup_epochs=10,
                cosine=True,
            )
            method = dataclasses.replace(
                self,
                backbone=self.backbone.or_else(depth=50),
                hidden=self.hidden or 4096,
                blur=self.blur or (1.0, 0.1),
                solarize=self.solarize or (0.0, 0.2),
                momentum=0.996 if self.momentum is None else self.momentum,
            )
            return (Stage(method=method, epochs=1000, batch_size=4096, optimizer=lars),)
        sgd = Optimizer(
            name="sgd",
            learning_rate=0.05,
            weight_decay=5e-4,
            batch_scaling="linear",
            warmup_epochs=10,
            cosine=True,
            predictor_rate=10.0,
        )
        return self.fast(spec, epochs=300, optimizer=sgd)

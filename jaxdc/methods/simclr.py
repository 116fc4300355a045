"""SimCLR (Chen, Kornblith, Norouzi, Hinton, ICML 2020, arXiv 2002.05709), then k-means on its features.

An encoder learns to match the two augmented views of an image among all other views in the batch. "Pretext
+ k-means" in the SCAN literature is this method with ``temperature=0.1, anchors="first", embedding="z"`` and the
recipe ``pretext``, the 500 epochs of SGD that SCAN starts from.

Differs from the paper in: the views default to SCAN's crop of 0.2 to 1 (the paper: 0.08 to 1); the
projection has no batch normalisation by default; the ``fast`` recipe is ``pretext`` for fewer
epochs.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, final

import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views


@register("simclr", "contrastive")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SimCLR(two_views.KMeansAfter):
    """SimCLR, then k-means on its features.

    Attributes:
      hidden: width of the projection's ReLU layer; None is the width of the features.
      batch_norm: use batch normalisation in the projection, as in Google's code.
      temperature: softmax temperature of NT-Xent.
      anchors: "both" views, or only the "first" as in SCAN's pretext.
      block_size: number of samples to compare with at a time, to save memory; None: all at once.
      embedding: features that k-means clusters: the encoder's "features" or "z".
    """

    augmentation: augment.Weak = augment.Weak()
    hidden: int | None = field(None, at_least=1)
    batch_norm: bool = False
    temperature: float = field(0.5, above=0)
    anchors: Literal["both", "first"] = "both"
    block_size: int | None = field(None, at_least=1)
    embedding: Literal["features", "z"] = "features"

    recipe_names: ClassVar[tuple[str, ...]] = ("fast", "paper", "pretext")

    def init(self, key, spec):
        model = two_views.Network(self, spec, nnx.Rngs(key), hidden=self.hidden, batch_norm=self.batch_norm)
        return model, {"centroids": self.no_centroids(model)}

    def loss(self, model, aux, batch, key):
        z1, z2 = two_views.apart(model(self.views(key, batch["x"]), train=True))
        loss = jnp.mean(
            losses.nt_xent(z1, z2, temperature=self.temperature, anchors=self.anchors, block_size=self.block_size)
        )
        return loss, (aux, {"instance": loss})

    def chance(self, batch_size, spec):
        return {"instance": math.log(2 * batch_size - 1)}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":  # CIFAR-10, as in appendix B.9 and the released code
            lars = Optimizer(
                name="lars",
                learning_rate=1.0,
                weight_decay=1e-4,
                batch_scaling="linear",
                warmup_epochs=10,
                cosine=True,
            )
            return (Stage(method=self, epochs=1000, batch_size=512, optimizer=lars),)
        sgd = Optimizer(name="sgd", learning_rate=0.2, weight_decay=1e-4, batch_scaling="linear", cosine=True)
        if recipe == "pretext":  # SCAN's, as in its released code
            return (Stage(method=self, epochs=500, batch_size=512, optimizer=sgd),)
        return self.fast(spec, epochs=400, optimizer=sgd)

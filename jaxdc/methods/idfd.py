"""IDFD (Tao, Takagi, Nakata, ICLR 2021, arXiv 2106.00131): instance discrimination and feature decorrelation.

Every image is its own class, distinguished from all others through a memory bank. A second loss decorrelates the
128 features, which shapes the sphere so that k-means can separate the clusters.

InstDisc (Wu, Xiong, Yu, Lin, CVPR 2018, arXiv 1805.01978) is ``ID`` with ``temperature=0.07`` (0.1 on CIFAR): its
softmax over the whole memory bank, which the authors' noise-contrastive estimation approximates.

``IDFO`` uses the orthogonality constraint instead of the softmax form, ``ID`` neither. No code was released for
IDFO; here it is ``losses.feature_orthogonality``, whose docstring explains our reading of the paper's equation,
divided by the number of features because the softmax form is a mean over them. ``methods.ALL["idfo"]`` weights it
by 10, the paper's weight on CIFAR-10. ``memory="batch"`` compares only within the batch, a variant sometimes
given as the method.

Differs from the paper in: k-means runs on the memory bank, as in the paper, but samples are then assigned by the
embedding of their plain view, so that new samples are predicted by the same function; the ``fast`` recipe has
larger batches and fewer epochs.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views
from jaxdc.methods.parts.bank import discriminate

DEFAULT_VIEWS = augment.Weak(flip=False, jitter=(0.4, 0.4, 0.4, 0.0), jitter_probability=1.0)


@register(
    "idfd",
    "contrastive",
    variants={"idfo": {"decorrelation": "orthogonal", "alpha": 10.0}, "id": {"decorrelation": "none"}},
)
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class IDFD(two_views.KMeansAfter):
    """Instance discrimination and feature decorrelation, then k-means.

    Attributes:
      augmentation: augmentation for the view; the default has no flips and no hue shifts.
      projection: width of z, the features that are clustered.
      temperature: softmax temperature of the instance discrimination.
      memory: "bank" compares with all samples, "batch" with those of the batch.
      momentum: share of the old entry kept in an update of the memory bank.
      decorrelation: "softmax" (IDFD), "orthogonal" (IDFO) or "none" (ID).
      decorrelation_temperature: temperature of the softmax decorrelation.
      alpha: weight of the decorrelation.
    """

    augmentation: augment.Weak = DEFAULT_VIEWS
    temperature: float = field(1.0, above=0)
    memory: Literal["bank", "batch"] = "bank"
    momentum: float = field(0.5, at_least=0, below=1)
    decorrelation: Literal["softmax", "orthogonal", "none"] = "softmax"
    decorrelation_temperature: float = field(2.0, above=0)
    alpha: float = field(1.0, at_least=0)

    embedding: ClassVar[str] = "z"
    sharded: ClassVar[tuple[str, ...]] = ("memory_bank",)

    def init(self, key, spec):
        network_key, bank_key = jax.random.split(key)
        model = two_views.Network(self, spec, nnx.Rngs(network_key), linear=True)
        aux = {"centroids": self.no_centroids(model)}
        if self.memory == "bank":
            bank = jax.random.normal(bank_key, (spec.n_samples, self.projection))
            aux["memory_bank"] = two_views.unit(bank)
        return model, aux

    def loss(self, model, aux, batch, key):
        z = model(self.augmentation(key, batch["x"]), train=True)
        bank, index = aux.get("memory_bank"), batch["index"]
        if bank is None:
            instance = losses.instance_discrimination(z, None, None, temperature=self.temperature)
        else:
            settings = {"temperature": self.temperature, "momentum": self.momentum}
            instance, bank = discriminate(z, bank, index, **settings)
            aux = {**aux, "memory_bank": bank}
        parts = {"instance": jnp.mean(instance)}
        if self.decorrelation == "softmax":
            features = losses.feature_decorrelation(z, temperature=self.decorrelation_temperature)
            parts["decorrelation"] = self.alpha * jnp.mean(features)
        elif self.decorrelation == "orthogonal":
            parts["decorrelation"] = self.alpha * losses.feature_orthogonality(z) / self.projection
        return sum(parts.values()), (aux, parts)

    def chance(self, batch_size, spec):
        return {"instance": math.log(spec.n_samples if self.memory == "bank" else batch_size)}

    def refresh(self, model, aux, features, key):
        return super().refresh(model, aux, aux.get("memory_bank", features), key)

    def alternatives(self, model, aux, features):
        if self.memory == "batch":
            return {}
        # The paper scores the bank itself, whose entries average augmented views over epochs.
        return {"the memory bank": two_views.nearest(aux["memory_bank"], aux["centroids"], self.temperature)}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        # The paper's 0.03 is for 128 images, doubled for 256. It drops at epochs 600, 950, 1300 and 1650.
        sgd = Optimizer(
            name="sgd",
            learning_rate=0.06,
            weight_decay=5e-4,
            batch_scaling="linear",
            decay_at=(0.3, 0.475, 0.65, 0.825),
        )
        if recipe == "paper":
            return (Stage(method=self, epochs=2000, batch_size=128, optimizer=sgd),)
        return self.fast(spec, epochs=900, optimizer=sgd)

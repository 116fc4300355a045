"""SwAV (Caron, Misra, Mairal, Goyal, Bojanowski, Joulin, NeurIPS 2020, arXiv 2006.09882), then k-means.

The two large crops of an image get codes: assignments to prototypes by optimal transport (``losses.sinkhorn``),
which gives each prototype an equal share of the batch. Every other crop of the image must predict them
(``losses.swapped_prediction``), among these small crops, which are cheap. For small batches a queue of earlier
embeddings takes part in the transport.

Differs from the paper in: prototypes are normalised where they are used, and stored as they are, so their gradient
points along the sphere; the queue fills from the beginning, though it is used as late as in the released code. The
transport covers the global batch on any number of devices. The ``fast`` recipe uses SGD.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import handwriting, two_views


class _Network(two_views.Network):
    def __init__(self, method, spec, rngs):
        norm = {"batch_norm": method.batch_norm, "norm_last": False}
        super().__init__(method, spec, rngs, hidden=method.hidden, **norm)
        shape = (method.n_codes, method.projection)
        self.prototypes = nnx.Param(two_views.unit(jax.random.normal(rngs.params(), shape)))


@register("swav", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SwAV(handwriting.Handwriting, two_views.KMeansAfter):
    """SwAV (crops predict each other's balanced assignments to prototypes), then k-means on its features.

    Attributes:
      augmentation: augmentation of the large crops, for images other than handwriting.
      n_small: small crops of each image, beside two large ones.
      small_side: side of the small crops, as a share of that of the large ones.
      small_crop: smallest and largest share of the area that a small crop shows.
      hidden: width of the projection's ReLU layer; None is the width of the features.
      batch_norm: use batch normalisation in the projection's hidden layer.
      n_prototypes: number of prototypes; None uses the recipe's value (paper 3,000), or 3 for each of n_clusters.
      temperature: softmax temperature of the predictions, and of the reported probabilities.
      epsilon: regularisation of the transport; smaller values give sharper codes. Lower it if the loss stays at
        the logarithm of the number of prototypes.
      n_iterations: rounds of the transport.
      queue_size: images whose earlier embeddings take part in the transport; 0: none, for large batches. The paper
        has 3,840 with batches of 256.
      queue_epochs: epochs before the queue is used; None is 15 of the paper's 200, in proportion, at most 15.
      freeze_epochs: first epochs, in which the prototypes stay as they are.
    """

    augmentation: augment.Weak = augment.Weak(crop=(0.14, 1.0), jitter=(0.8, 0.8, 0.8, 0.2), blur_probability=0.5)
    n_small: int = field(6, at_least=0)
    small_side: float = field(96 / 224, above=0, at_most=1)
    small_crop: tuple[float, float] = field((0.05, 0.14), above=0, at_most=1)
    hidden: int | None = field(None, at_least=1)
    batch_norm: bool = True
    n_prototypes: int | None = field(None, at_least=2)
    temperature: float = field(0.1, above=0)
    epsilon: float = field(0.05, above=0)
    n_iterations: int = field(3, at_least=1)
    queue_size: int = field(0, at_least=0)
    queue_epochs: float | None = field(None, at_least=0)
    freeze_epochs: float = field(1.0, at_least=0)

    embedding: ClassVar[str] = "features"

    @property
    def n_codes(self) -> int:
        """Number of prototypes, or the value that None means."""
        return self.n_prototypes or 3 * self.n_clusters

    def init(self, key, spec):
        model = _Network(self, spec, nnx.Rngs(key))
        aux = {"centroids": self.no_centroids(model)}
        if self.queue_size:
            aux["queue"] = jnp.zeros((self.queue_size, 2, self.projection))
            aux |= {"position": jnp.zeros((), jnp.int32), "n_queued": jnp.zeros((), jnp.int32)}
        return model, aux

    def check_batch_size(self, batch_size, spec):
        if 0 < self.queue_size < batch_size:
            raise InputError(
                f"the queue of {self.queue_size} images is smaller than a batch of {batch_size}: raise queue_size"
            )
        if self.n_codes > batch_size + self.queue_size:
            raise InputError(
                f"{self.n_codes} prototypes can't share the {batch_size + self.queue_size} images of batch and "
                "queue equally: lower n_prototypes, or raise queue_size or the batch size"
            )

    def for_length(self, epochs):
        if self.queue_epochs is not None:
            return self
        return dataclasses.replace(self, queue_epochs=float(min(15, round(15 / 200 * epochs))))

    def loss(self, model, aux, batch, key):
        large_key, small_key = jax.random.split(key)
        x = batch["x"]
        z = list(two_views.apart(self._z(model, self.views(large_key, x))))
        if self.n_small:
            small = self._small_preset(x)
            crops = [small(k, x) for k in jax.random.split(small_key, self.n_small)]
            # Next to each other, as the large ones: a batch that is sharded by sample stays in place.
            together = jnp.stack(crops, axis=1).reshape(-1, *crops[0].shape[1:])
            z_small = self._z(model, together).reshape(len(x), self.n_small, -1)
            z += [z_small[:, i] for i in range(self.n_small)]
        prototypes = two_views.unit(model.prototypes[...])
        frozen = batch["epoch"] < self.freeze_epochs
        prototypes = jnp.where(frozen, jax.lax.stop_gradient(prototypes), prototypes)
        scores = jnp.stack([each @ prototypes.T for each in z])
        codes = jnp.stack([self._codes(aux, batch, scores[i], i, prototypes) for i in range(2)])
        loss = jnp.mean(losses.swapped_prediction(scores, codes, temperature=self.temperature))
        if self.queue_size:
            newest = jnp.stack(z[:2], axis=1)
            queue, position = losses.update_queue(aux["queue"], aux["position"], newest)
            n_queued = jnp.minimum(aux["n_queued"] + len(x), self.queue_size)
            aux = {**aux, "queue": queue, "position": position, "n_queued": n_queued}
        return loss, (aux, {})

    def _z(self, model, x):
        return two_views.unit(model(x, train=True))

    def _small_preset(self, x) -> Any:
        preset = self.preset(x.shape[-1])
        side = preset.size or min(x.shape[1:3])
        size = max(round(self.small_side * side), 1)
        if self.is_handwriting(x.shape[-1]):
            smallest, largest = map(math.sqrt, self.small_crop)
            sides = (smallest, (smallest + largest) / 2, largest)
            return dataclasses.replace(preset, size=size, crops=sides)
        return dataclasses.replace(preset, size=size, crop=self.small_crop)

    def _codes(self, aux, batch, scores, view, prototypes):
        """Codes [b, k] of a large crop; the queue takes part once it is full."""
        scores, transport = jax.lax.stop_gradient(scores), self._transport
        if not self.queue_size:
            return transport(scores)
        ready = (aux["n_queued"] >= self.queue_size) & (batch["epoch"] >= (self.queue_epochs or 0.0))
        queued = aux["queue"][:, view] @ jax.lax.stop_gradient(prototypes).T
        both = jnp.concatenate([scores, queued])
        return jax.lax.cond(ready, lambda: transport(both)[: len(scores)], lambda: transport(scores))

    def _transport(self, scores):
        return losses.sinkhorn(scores, epsilon=self.epsilon, n_iterations=self.n_iterations)

    def chance(self, batch_size, spec):
        return {"loss": math.log(self.n_codes)}

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
            method = dataclasses.replace(
                self,
                backbone=self.backbone.or_else(depth=50),
                n_prototypes=self.n_prototypes or 3000,
                hidden=self.hidden or 2048,
            )
            return (Stage(method=method, epochs=800, batch_size=4096, optimizer=lars),)
        sgd = Optimizer(name="sgd", learning_rate=0.2, weight_decay=1e-4, batch_scaling="linear", cosine=True)
        return self.fast(spec, epochs=200, optimizer=sgd)

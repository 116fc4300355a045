"""RotNet: predicting how an image was turned (Gidaris, Singh, Komodakis, ICLR 2018, arXiv 1803.07728).

Each image is seen in all four turns by multiples of 90 degrees, and the network says which is which: what is up
has to be recognised for that. Then k-means on the features; as a pretext of SCAN (``--pretext rotnet``) those
features find the neighbours.

It is wrong for images without an up: a loss that stays at log 4 is warned of. Turned digits and signs (0, 8, 6 and
9), microscopy and aerial views teach little.

Differs from the paper in: a ResNet, whose pooled last features are clustered, where the paper takes those of an
earlier block of its network, which served its classifiers better; random resized crops in place of shifted ones.
The ``fast`` recipe has cosine decay and fewer epochs.
"""

from __future__ import annotations

import dataclasses
import math
from typing import final

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxdc import augment, losses, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, register, restarts
from jaxdc.methods.parts import two_views

TEMPERATURE = 0.1  # of the reported probabilities


def quarter_turns(images: Float[Array, "b s s c"]) -> Float[Array, "4*b s s c"]:
    """Each image in its four turns, one beside the other: turned by 0, 90, 180 and 270 degrees."""
    turned = jnp.stack([jnp.rot90(images, i, axes=(1, 2)) for i in range(4)], axis=1)
    return turned.reshape(4 * images.shape[0], *images.shape[1:])


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        self.encoder = method.backbone.make(two_views.check_views(spec, method), spec.shape[2], rngs)
        n, dtype = self.encoder.n_features, method.backbone.dtype
        self.head = nn.ClusterHead(n, None, 4, dtype=dtype, rngs=rngs)


@register("rotnet", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RotNet(two_views.TwoViews):
    """Rotation prediction, then k-means on the features; a pretext for SCAN.

    Attributes:
      augmentation: augmentation of the image that is turned; the default only crops and flips.
      n_init: runs of k-means, of which the best is kept.
    """

    augmentation: augment.Weak = augment.Weak(crop=(0.5, 1.0), jitter_probability=0.0, greyscale_probability=0.0)
    n_init: int = restarts(20)

    def init(self, key, spec):
        model = _Network(self, spec, nnx.Rngs(key))
        height, width = jax.eval_shape(self.plain, jax.ShapeDtypeStruct((1, *spec.shape), jnp.float32)).shape[1:3]
        if height != width:
            raise InputError(
                f"RotNet turns images by 90 degrees, so they must be square, but these are {height} x {width}: "
                "set augmentation.size"
            )
        return model, {"centroids": jnp.zeros((self.n_clusters, model.encoder.n_features))}

    def loss(self, model, aux, batch, key):
        turned = quarter_turns(self.augmentation(key, batch["x"]))
        logits = model.head(model.encoder(turned, train=True))
        turns = jnp.tile(jnp.arange(4), batch["x"].shape[0])
        loss = jnp.mean(losses.smoothed_cross_entropy(logits, turns, smoothing=0.0))
        return loss, (aux, {"rotation": loss, "accuracy": jnp.mean(jnp.argmax(logits, axis=1) == turns)})

    def chance(self, batch_size, spec):
        return {"rotation": math.log(4)}

    def embed(self, model, aux, batch):
        return two_views.unit(super().embed(model, aux, batch))

    def refresh(self, model, aux, features, key):
        return model, {"centroids": two_views.k_means_centroids(key, features, self)}

    def assign(self, model, aux, features):
        return two_views.nearest(features, aux["centroids"], TEMPERATURE)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        sgd = Optimizer(name="sgd", learning_rate=0.1, nesterov=True, weight_decay=5e-4)
        if recipe == "paper":  # CIFAR-10
            steps = dataclasses.replace(sgd, decay_at=(0.3, 0.6, 0.8), decay_factor=0.2)
            return (Stage(method=self, epochs=200, batch_size=128, optimizer=steps),)
        # Every image counts four times in a step.
        cosine = dataclasses.replace(sgd, cosine=True)
        return (two_views.fast_stage(self, spec, epochs=100, batch_size=128, optimizer=cosine),)

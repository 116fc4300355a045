"""DCCM: Deep Comprehensive Correlation Mining (Wu, Long, Wang, Qian, Li, Lin, Zha, ICCV 2019, arXiv 1904.06925).

What the present network says of plain images is what views of them learn, in three ways. Pairs of which it is
sure are of one cluster, and all others are not, as in DAC (``losses.pair_cross_entropy``). A confident sample
learns its label (``losses.one_hot_cross_entropy``). A critic, which sees an image's features beside a map of the
same image, or of one of the same cluster, tells these from pairs of two clusters (``losses.jensen_shannon``).

Differs from the paper in: a ResNet in place of its VGG-like network, whose map is that with which the last stage
begins, and Adam in place of RMSprop. Differs from the released code in: the present network says which pairs are
alike, where there the labels of 1,000 images at a time are kept for ten passes; a sample makes no pair with
itself; cosines are not divided by the largest of the batch; an image's partner is drawn among all of its cluster
in the batch, and negatives among all others, where there they are always the first; running statistics of batch
normalisation at test time.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views
from jaxdc.methods.parts.label_head import LabelHead
from jaxdc.nn.heads import linear

PAPER_EPOCHS = 200.0


class _Critic(nnx.Module):
    """A map [b, h, w, c] and features [b, d] -> a score for every place of the map [b, h w]."""

    def __init__(self, n_map: int, n_features: int, width: int, rngs: nnx.Rngs):
        sizes = (n_map + n_features, width, width, 1)
        self.layers = nnx.List(linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes))

    def __call__(self, local: jax.Array, features: jax.Array) -> jax.Array:
        b, h, w, _ = local.shape
        there = jnp.broadcast_to(features[:, None, None], (b, h, w, features.shape[1]))
        x = jnp.concatenate([local, there], axis=3).reshape(b, h * w, -1)
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        return self.layers[-1](x)[..., 0]


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        side = two_views.check_views(spec, method)
        self.encoder = method.backbone.make(side, spec.shape[2], rngs)
        n = self.encoder.n_features
        self.head = LabelHead(n, method.n_clusters, rngs)
        if method.information_weight:
            if not hasattr(self.encoder, "with_map"):
                raise InputError("this encoder gives no map of local features: set information_weight to 0")
            self.critic = _Critic(self.encoder.n_local, n, method.critic_width, rngs)


@register("dccm", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DCCM(two_views.TwoViews):
    """Deep Comprehensive Correlation Mining: what the network says of pairs, of labels and of local features.

    Attributes:
      augmentation: augmentation of the view that learns.
      threshold: cosine above which two images are of one cluster; all other pairs are not.
      confidence: probability from which a sample learns its label.
      label_weight: weight of the labels.
      information_weight: weight of the critic; 0 trains none.
      critic_width: width of the critic's two hidden layers.
      refresh_epochs: epochs between two looks at the clusters' health, which change nothing.
    """

    augmentation: augment.Shifted = augment.Shifted(degrees=20.0, shift=0.18, zoom=(0.85, 1.15), channel_shift=0.1)
    threshold: float = field(0.95, above=0, below=1)
    confidence: float = field(0.9, above=0, at_most=1)
    label_weight: float = field(5.0, at_least=0)
    information_weight: float = field(0.05, at_least=0)
    critic_width: int = field(512, at_least=1)
    refresh_epochs: float = field(5.0, above=0)

    refresh_last: ClassVar[bool] = True

    def check_batch_size(self, batch_size, spec):
        if batch_size < 2:
            raise InputError("DCCM learns from pairs within a batch: batch_size must be at least 2")

    def init(self, key, spec):
        return _Network(self, spec, nnx.Rngs(key)), {}

    def loss(self, model, aux, batch, key):
        view_key, pair_key = jax.random.split(key)
        x = batch["x"]
        # Both pass in training mode, as in DAC: running statistics that have seen little tell no two images apart.
        teacher = jax.lax.stop_gradient(self._seen(model, self.plain(x))[0])
        probs, features, local = self._seen(model, self.augmentation(view_key, x))
        pairs, _ = losses.pair_cross_entropy(probs, teacher, upper=self.threshold, lower=self.threshold)
        labels = losses.one_hot_cross_entropy(probs, teacher, threshold=self.confidence)
        parts = {"pairs": pairs, "labels": self.label_weight * jnp.mean(labels)}
        if self.information_weight:
            parts["information"] = self.information_weight * self._information(
                model.critic, pair_key, teacher, features, local
            )
        sure = jnp.mean((jnp.max(teacher, axis=1) >= self.confidence).astype(jnp.float32))
        return sum(parts.values()), (aux, {**parts, "confident": sure})

    def _seen(self, model, x):
        """Assignments [b, k], features [b, d] and map [b, h, w, c]."""
        if self.information_weight:
            features, local = model.encoder.with_map(x, train=True)
        else:
            features, local = model.encoder(x, train=True), None
        return jax.nn.softmax(model.head(features, train=True), axis=1), features, local

    def _information(self, critic, key, teacher, features, local):
        """The critic's loss, over the samples that have what it needs: a negative, and for a partner that too."""
        partner_key, *negative_keys = jax.random.split(key, 3)
        z = two_views.unit(teacher)
        alike = jnp.matmul(z, z.T, precision=jax.lax.Precision.HIGHEST) > self.threshold
        partner, has_partner = _drawn(partner_key, alike & ~jnp.eye(len(z), dtype=bool))
        others = [_drawn(one, ~alike & ~jnp.eye(len(z), dtype=bool)) for one in negative_keys]
        negatives = [critic(local[rows], features) for rows, _ in others]
        costs = jnp.stack(
            [
                losses.jensen_shannon(critic(local, features), negatives[0]),
                losses.jensen_shannon(critic(local[partner], features), negatives[1]),
            ]
        )
        used = jnp.stack([others[0][1], others[1][1] & has_partner])
        return jnp.sum(jnp.where(used, costs, 0.0)) / jnp.maximum(jnp.sum(used), 1)

    def assign(self, model, aux, features):
        return jax.nn.softmax(model.head(features), axis=1)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":  # CIFAR-10; its rate on CIFAR-100-20 is 1e-3
            adam = Optimizer(name="adam", learning_rate=1e-4)
            return (Stage(method=self, epochs=PAPER_EPOCHS, batch_size=32, optimizer=adam),)
        adam = Optimizer(name="adam", learning_rate=1e-3)
        return (two_views.fast_stage(self, spec, epochs=45.0, batch_size=128, optimizer=adam),)


def _drawn(key, candidates):
    """For each row of candidates [b, b] one of them, and whether there is any."""
    scores = jnp.where(candidates, jax.random.uniform(key, candidates.shape), -1.0)
    return jnp.argmax(scores, axis=1), jnp.any(candidates, axis=1)

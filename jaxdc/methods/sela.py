"""SeLa: self-labelling by optimal transport (Asano, Rupprecht, Vedaldi, ICLR 2020, arXiv 1911.05371).

Labels and network minimise one cross-entropy by turns: the network learns the labels of augmented views, and now
and then all samples get the most likely labels that fill all clusters equally (``cluster.balanced_labels``),
without which one label for everything would cost nothing. Several heads, each with its own labels, share the
encoder.

The clusters are of the size that the method gives them: on data whose classes are of unequal sizes it can't be
right. With as many pseudo-clusters as clusters, the head of the lowest loss is reported, and k-means on the
features beside it (``alternatives``); with more, k-means.

Differs from the paper in: a ResNet, and labels that follow from the plain view in evaluation mode, where the
released code takes those of the last augmented view in training mode. Labels are renewed at even intervals, as in
its code for CIFAR; that for ImageNet begins densely. The ``fast`` recipe has larger batches, cosine decay and
fewer renewals.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, cluster, losses, nn
from jaxdc.methods.base import Optimizer, Stage, field, register, restarts
from jaxdc.methods.parts import heads, two_views

TEMPERATURE = 0.1  # of the probabilities that k-means gives
FAST_REFRESH_EPOCHS = 2.0


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        self.encoder = method.backbone.make(two_views.check_views(spec, method), spec.shape[2], rngs)
        n, k, dtype = self.encoder.n_features, two_views.n_pseudo(method, spec), method.backbone.dtype
        self.heads = nn.ClusterHeads(n, method.n_heads, k, dtype=dtype, rngs=rngs)


@register("sela", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SeLa(two_views.TwoViews):
    """Self-labelling: a classifier and balanced labels by turns.

    Attributes:
      augmentation: augmentation for the view that is classified.
      n_heads: heads on the encoder, each with its own labels; 10 in the paper.
      n_pseudo_clusters: clusters of each head; None is n_clusters. The paper has 128 on CIFAR-10, 3,000 on
        ImageNet.
      sharpness: inverse of the entropy regularisation of the labels; 10 on CIFAR, 25 on ImageNet.
      one_head_at_a_time: renew the labels of one head in turn, as on CIFAR; otherwise of all, as on ImageNet.
      refresh_epochs: epochs between two renewals; None uses the recipe's value (paper 1, fast 2), or 1 without a
        recipe.
      n_init: runs of k-means, of which the best is kept.
    """

    augmentation: augment.Weak = augment.Weak()
    n_heads: int = field(10, at_least=1)
    n_pseudo_clusters: int | None = field(None, at_least=2)
    sharpness: float = field(10.0, above=0)
    one_head_at_a_time: bool = True
    refresh_epochs: float | None = field(None, above=0)
    n_init: int = restarts(20)

    refresh_last: ClassVar[bool] = True

    @property
    def epochs_between_refreshes(self):
        return 1.0 if self.refresh_epochs is None else self.refresh_epochs

    @property
    def _reports_a_head(self):
        return self.n_pseudo_clusters in (None, self.n_clusters)

    def init(self, key, spec):
        model_key, label_key = jax.random.split(key)
        model = _Network(self, spec, nnx.Rngs(model_key))
        even = jnp.arange(spec.n_samples) % two_views.n_pseudo(self, spec)
        shuffled = [jax.random.permutation(one, even) for one in jax.random.split(label_key, self.n_heads)]
        return model, {
            **heads.start(self.n_heads),
            "pseudo_labels": jnp.stack(shuffled).astype(jnp.int32),
            "turn": jnp.zeros((), jnp.int32),
            "centroids": jnp.zeros((self.n_clusters, model.encoder.n_features)),
        }

    def loss(self, model, aux, batch, key):
        logits = model.heads(model.encoder(self.augmentation(key, batch["x"]), train=True))
        labels = aux["pseudo_labels"][:, batch["index"]]
        cross_entropy = functools.partial(losses.smoothed_cross_entropy, smoothing=0.0)
        per_head = jnp.mean(jax.vmap(cross_entropy)(logits, labels), axis=1)
        accuracy = jnp.mean(jnp.argmax(logits, axis=2) == labels)
        return jnp.mean(per_head), (heads.count(aux, per_head), {"pseudo_accuracy": accuracy})

    def chance(self, batch_size, spec):
        return {"loss": math.log(two_views.n_pseudo(self, spec))}

    def refresh(self, model, aux, features, key):
        turn, labels = int(aux["turn"]), aux["pseudo_labels"]
        log_probs = jax.nn.log_softmax(model.heads(features), axis=2)
        for head in [turn % self.n_heads] if self.one_head_at_a_time else range(self.n_heads):
            found = cluster.balanced_labels(log_probs[head], sharpness=self.sharpness)
            labels = labels.at[head].set(found.labels)
        aux = {**heads.choose(aux), "pseudo_labels": labels, "turn": jnp.int32(turn + 1)}
        return model, aux if self._reports_a_head else self._with_centroids(aux, features, key, n_init=1)

    def finish(self, model, aux, features, key):
        return model, self._with_centroids(heads.choose(aux), features, key, n_init=self.n_init)

    def _with_centroids(self, aux, features, key, n_init):
        unit = two_views.unit(features)
        return {**aux, "centroids": two_views.k_means_centroids(key, unit, self, n_init=n_init)}

    def assign(self, model, aux, features):
        if self._reports_a_head:
            return jax.nn.softmax(model.heads(features)[aux["head"]], axis=1)
        return self._nearest(aux, features)

    def alternatives(self, model, aux, features):
        return {"k-means": self._nearest(aux, features)} if self._reports_a_head else {}

    def _nearest(self, aux, features):
        return two_views.nearest(two_views.unit(features), aux["centroids"], TEMPERATURE)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":  # CIFAR-10, with batches of 128
            sgd = Optimizer(name="sgd", learning_rate=0.03, weight_decay=5e-4, decay_at=(0.4, 0.6, 0.8))
            return (Stage(method=self, epochs=400, batch_size=128, optimizer=sgd),)
        sgd = Optimizer(name="sgd", learning_rate=0.06, weight_decay=5e-4, batch_scaling="linear", cosine=True)
        method = dataclasses.replace(self, refresh_epochs=self.refresh_epochs or FAST_REFRESH_EPOCHS)
        return method.fast(spec, epochs=500, optimizer=sgd)

"""RUC: Robust learning for Unsupervised Clustering (Park et al., CVPR 2021, arXiv 2012.11150).

A step that follows any clustering. It takes its clusters for noisy labels: samples of a confident label, and whose
nearest neighbours have that label too, are clean. Two networks, from the encoder of the stage before and a new
head each, learn the labels of the clean samples, refined by what the other network says, and for the unclean ones
what both say of two views on average (as in MixMatch, with MixUp over all of them); smoothed labels of strong
views keep them from growing too sure. A sample that becomes confident becomes clean, for good.

It begins with the clusters of SCAN's self-labelling, as in the paper, or of any run with as many clusters of the
same samples: ``--init-from``. The encoder of that run must be like this one's; a run without one, such as k-means,
gives its labels alone.

Differs from the paper in: neighbours are found in the features of the stage before, not in those of its pretext;
confidences are looked at once an epoch on plain views in evaluation mode, where the released code collects them
while it trains; both networks learn in one step, where there they take turns by the epoch; the two halves of a
batch are means over what it has of clean and of unclean samples, and an empty half costs nothing. A cluster
without a clean label, which the networks would give up, begins with the surest tenth of its labels. Strong views
are two operations of SCAN's pool at any strength, without Cutout; the released code applies each of two with
probability 0.5, at a low strength, and always cuts out a grey square.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc import augment, cluster, losses, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views
from jaxdc.methods.parts.handwriting import Handwriting
from jaxdc.methods.selflabel import SelfLabel

SUREST = 0.1  # share of the labels that are taken for clean of a cluster that has no clean one
LEAST_RAMP = 0.1  # share of the weight of the unclean samples at the beginning


class _Learner(nnx.Module):
    """An encoder and a linear head: features [b, d], logits [b, k]."""

    def __init__(self, method, side, channels, rngs):
        self.encoder = method.backbone.make(side, channels, rngs)
        n, dtype = self.encoder.n_features, method.backbone.dtype
        self.head = nn.ClusterHead(n, None, method.n_clusters, dtype=dtype, rngs=rngs)


class _Network(_Learner):
    """The first of two learners, and within it the second."""

    def __init__(self, method, side, channels, rngs):
        super().__init__(method, side, channels, rngs)
        self.other = _Learner(method, side, channels, rngs)


@register("ruc", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RUC(Handwriting):
    """Robust learning on the clusters of a stage before: two networks correct its labels, and each other.

    Attributes:
      augmentation: augmentation of strong views; of handwriting it is applied to a view by ``digits``, unmirrored.
      weak: augmentation of the weak views, for images other than handwriting; takes size and normalisation from
        the other.
      digits: the same for handwriting, size and normalisation included.
      selection: what makes a label clean: "confidence", the vote of its neighbours ("metric"), or both ("hybrid").
      confidence: least probability of a label that is clean at the beginning.
      n_neighbors: nearest neighbours that vote, the sample itself included.
      temperature: temperature that sharpens targets.
      mixing: parameter of the Beta distribution from which MixUp draws its shares.
      unclean_weight: weight of the unclean samples, which grows to this; 100 in the paper on CIFAR-100-20, 50 on
        STL-10.
      smoothing: share of a label that goes to the other clusters, for strong views.
      relabel: probability from which an unclean sample becomes clean, at the beginning and at the end; (0.9, 0.98)
        in the paper on sets other than CIFAR-10.
      ramp_epochs: epochs in which the weight of the unclean samples and that probability grow; None: the stage.
      refresh_epochs: epochs between two looks at the confidences.
    """

    augmentation: augment.Strong = augment.Strong(crop=(0.2, 1.0), n_ops=2, cutout=None)
    weak: augment.Weak = augment.Weak(jitter_probability=0.0, greyscale_probability=0.0)
    digits: augment.Digits = augment.Digits(crops=(0.75, 0.875, 1.0))
    selection: Literal["confidence", "metric", "hybrid"] = "hybrid"
    confidence: float = field(0.99, above=0, at_most=1)
    n_neighbors: int = field(100, at_least=1)
    temperature: float = field(0.5, above=0)
    mixing: float = field(4.0, above=0)
    unclean_weight: float = field(25.0, at_least=0)
    smoothing: float = field(0.5, at_least=0, below=1)
    relabel: tuple[float, float] = field((0.99, 0.99), above=0, at_most=1)
    ramp_epochs: float | None = field(None, above=0)
    refresh_epochs: float = field(1.0, above=0)

    refresh_last: ClassVar[bool] = True
    takes_clusters: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ()
    recipe_names: ClassVar[tuple[str, ...]] = SelfLabel.recipe_names

    def for_length(self, epochs):
        return self if self.ramp_epochs is not None else dataclasses.replace(self, ramp_epochs=max(epochs, 1.0))

    def init(self, key, spec):
        if self.n_neighbors > spec.n_samples:
            raise InputError(
                f"n_neighbors is {self.n_neighbors}, but there are {spec.n_samples} samples; use that or less"
            )
        model = _Network(self, self.side(spec), spec.shape[2], nnx.Rngs(key))
        n = spec.n_samples
        aux = {
            "label": jnp.zeros(n, jnp.int32),
            "clean": jnp.zeros(n, bool),
            "confidence": jnp.zeros((2, n)),
            "looks": jnp.zeros((), jnp.int32),
            "n_rescued": jnp.zeros((), jnp.int32),
        }
        return model, aux

    def take_clusters(self, model, aux, before):
        nnx.update(model.other.encoder, jax.tree.map(jnp.copy, nnx.state(model.encoder)))
        label = jnp.argmax(before.probabilities, axis=1).astype(jnp.int32)
        clean = jnp.ones(len(label), bool)
        if self.selection != "metric":
            clean &= jnp.max(before.probabilities, axis=1) >= self.confidence
        if self.selection != "confidence":
            neighbors = cluster.nearest_neighbors(before.embeddings, self.n_neighbors).indices
            votes = cluster.neighbor_votes(label, neighbors, self.n_clusters)
            clean &= jnp.take_along_axis(votes, label[:, None], axis=1)[:, 0] == jnp.max(votes, axis=1)
        clean, n_rescued = self._rescued(np.asarray(label), np.asarray(clean), np.asarray(before.probabilities))
        return model, {**aux, "label": label, "clean": jnp.asarray(clean), "n_rescued": jnp.int32(n_rescued)}

    def _rescued(self, label, clean, probabilities):
        """What is clean if no cluster is given up, and the number of clusters that would have been."""
        clean, sizes = clean.copy(), np.bincount(label, minlength=self.n_clusters)
        lost = np.flatnonzero((sizes > 0) & (np.bincount(label[clean], minlength=self.n_clusters) == 0))
        for c in lost:
            members = np.flatnonzero(label == c)
            surest = np.argsort(-probabilities[members, c], kind="stable")
            clean[members[surest[: math.ceil(SUREST * len(members))]]] = True
        return clean, len(lost)

    def warning(self, aux):
        """Says that clusters had no clean label to learn from."""
        n = int(aux["n_rescued"])
        if not n:
            return None
        return (
            f"{n} of {self.n_clusters} clusters have no label that is clean by {self.selection}; RUC begins with "
            "the tenth of their labels of the highest probability, which may be wrong: another --selection, a "
            "lower --confidence or fewer --n-neighbors may suit these clusters better"
        )

    def preset(self, channels):
        """The augmentation of weak views."""
        if self.is_handwriting(channels):
            return self.digits
        strong = self.augmentation
        return dataclasses.replace(self.weak, size=strong.size, mean=strong.mean, std=strong.std)

    def three_views(self, key, x):
        """[b, h, w, c] -> two weak views and a strong one."""
        keys = jax.random.split(key, 4)
        channels = x.shape[-1]
        weak, strong, start = self.preset(channels), self.augmentation, x
        if self.is_handwriting(channels):
            strong, start = dataclasses.replace(strong, crop=None, flip=False), weak(keys[2], x)
        return weak(keys[0], x), weak(keys[1], x), strong(keys[3], start)

    def loss(self, model, aux, batch, key):
        view_key, *mix_keys = jax.random.split(key, 3)
        x, index = batch["x"], batch["index"]
        label, clean = aux["label"][index], aux["clean"][index]
        weak1, weak2, strong = self.three_views(view_key, x)
        learners, of_weak = (model, model.other), two_views.side_by_side(weak1, weak2)
        said = [jax.lax.stop_gradient(self._said(one, self.plain(x), of_weak)) for one in learners]
        guess = losses.sharpen((said[0] + said[1])[:, 1:].mean(axis=1) / 2, temperature=self.temperature)
        ramp = jnp.clip(batch["epoch"] / (self.ramp_epochs or 1.0), LEAST_RAMP, 1.0)
        parts = dict.fromkeys(("clean", "unclean", "strong"), jnp.zeros(()))
        for i, learner in enumerate(learners):
            trust = aux["confidence"][1 - i, index][:, None]
            given = (1 - trust) * jax.nn.one_hot(label, self.n_clusters) + trust * said[1 - i][:, 0]
            target = jnp.where(clean[:, None], losses.sharpen(given, temperature=self.temperature), guess)
            mixed, targets = augment.mix_up(
                mix_keys[i], of_weak, two_views.side_by_side(target, target), concentration=self.mixing
            )
            logits = self._logits(learner, _stacked(mixed.reshape(len(x), 2, *mixed.shape[1:]), strong))
            of_mixed = logits[:, :2].reshape(-1, self.n_clusters)
            is_clean = jnp.repeat(clean, 2)
            squares = jnp.mean((jax.nn.softmax(of_mixed, axis=1) - targets) ** 2, axis=1)
            smooth = losses.smoothed_cross_entropy(logits[:, 2], label, smoothing=self.smoothing)
            parts["clean"] += _mean_of(losses.cross_entropy(of_mixed, targets), is_clean)
            parts["unclean"] += self.unclean_weight * ramp * _mean_of(squares, ~is_clean)
            parts["strong"] += _mean_of(smooth, clean)
        return sum(parts.values()), (aux, {**parts, "clean_share": jnp.mean(clean.astype(jnp.float32))})

    def _said(self, learner, plain, of_weak):
        """Probabilities [b, 3, k] of the plain view and of the two weak ones."""
        # In training mode, as the released code: running statistics know plain views too.
        pairs = of_weak.reshape(len(plain), 2, *of_weak.shape[1:])
        return jax.nn.softmax(self._logits(learner, _stacked(pairs, plain, first=True)), axis=2)

    def _logits(self, learner, views):
        """[b, 3, ...] -> [b, 3, k]."""
        rows = views.reshape(-1, *views.shape[2:])
        return learner.head(learner.encoder(rows, train=True)).reshape(*views.shape[:2], -1)

    def embed(self, model, aux, batch):
        x = self.plain(batch["x"])
        return jnp.concatenate([model.encoder(x), model.other.encoder(x)], axis=1)

    def refresh(self, model, aux, features, key):
        looks = aux["looks"] + 1
        if not aux["looks"]:  # the heads know nothing yet
            return model, {**aux, "looks": looks}
        probs = jax.nn.softmax(jnp.stack(self._both(model, features)), axis=2)
        highest = jnp.max(probs, axis=2)
        low, high = jnp.min(highest, axis=1, keepdims=True), jnp.max(highest, axis=1, keepdims=True)
        share = min(float(looks - 1) * self.refresh_epochs / (self.ramp_epochs or 1.0), 1.0)
        threshold = self.relabel[0] + share * (self.relabel[1] - self.relabel[0])
        surest = jnp.argmax(highest, axis=0)
        new = jnp.argmax(probs, axis=2).astype(jnp.int32)[surest, jnp.arange(probs.shape[1])]
        turns = ~aux["clean"] & (jnp.max(highest, axis=0) >= threshold)
        return model, {
            **aux,
            "label": jnp.where(turns, new, aux["label"]),
            "clean": aux["clean"] | turns,
            "confidence": (highest - low) / jnp.maximum(high - low, 1e-12),
            "looks": looks,
        }

    def _both(self, model, features):
        mine, others = jnp.split(features, 2, axis=1)
        return [model.head(mine), model.other.head(others)]

    def assign(self, model, aux, features):
        return jax.nn.softmax(sum(self._both(model, features)), axis=1)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        given, flip = self.augmentation, self.augmentation.flip and not self.is_handwriting(spec.shape[-1])
        views = augment.Strong(size=given.size, flip=flip, mean=given.mean, std=given.std)
        first = SelfLabel(n_clusters=self.n_clusters, backbone=self.backbone, augmentation=views)
        before = first.stages(recipe, spec)
        sgd = Optimizer(
            name="sgd", learning_rate=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, cosine=True
        )
        shared = {"optimizer": sgd, "reported_only": True}
        if recipe == "fast":
            return (*before, two_views.fast_stage(self, spec, epochs=50, batch_size=256, **shared))
        small = spec.reported.n_samples < 20_000  # STL-10
        return (*before, Stage(method=self, epochs=200, batch_size=100 if small else 250, **shared))


def _stacked(pairs, one, *, first=False):
    """[b, 2, ...] and [b, ...] -> [b, 3, ...]."""
    parts = (one[:, None], pairs) if first else (pairs, one[:, None])
    return jnp.concatenate(parts, axis=1)


def _mean_of(values, chosen):
    """The mean [b] -> [] of the chosen ones, 0 if there are none."""
    return jnp.sum(jnp.where(chosen, values, 0.0)) / jnp.maximum(jnp.sum(chosen), 1)

"""DAC: Deep Adaptive Image Clustering (Chang, Wang, Meng, Xiang, Pan, ICCV 2017).

Clustering as classification of pairs. The network's softmax, brought to length 1, is a label feature; the cosine
of two of them says whether two images are of one cluster. Two thresholds choose the pairs of which the present
network is sure, and draw nearer to each other until every pair is used; what they say of plain images, the views
learn (``losses.pair_cross_entropy``). The largest of the label feature is the cluster; no k-means is needed.

``selection="all"`` is the variant of the released code: one threshold that falls, and no pair left out.
``local_weight`` adds that code's second term, which holds each label feature to what it was on the plain image.

What keeps all images from one cluster is the end of the network: two layers that begin as the identity, each
with batch normalisation and ReLU, under the softmax.

Differs from the paper in: a ResNet in place of its VGG-like network, and Adam in place of RMSprop; the
thresholds meet at the end of the stage, however long it is, and not after 45 epochs; a sample makes no pair with
itself. Differs from the released code in: the present network says which pairs are alike, where there the labels
of 1,000 images at a time are kept for several passes; running statistics of batch normalisation at test time,
where there those of the batch serve; the squared error that it takes on MNIST is not here.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import augment, losses
from jaxdc.errors import InputError
from jaxdc.losses.pairs import LEAST
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts import two_views
from jaxdc.methods.parts.label_head import LabelHead

PAPER_EPOCHS = 45.0


class _Network(nnx.Module):
    def __init__(self, method, spec, rngs):
        side = two_views.check_views(spec, method)
        self.encoder = method.backbone.make(side, spec.shape[2], rngs)
        self.head = LabelHead(self.encoder.n_features, method.n_clusters, rngs)


@register("dac", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DAC(two_views.TwoViews):
    """Deep Adaptive Image Clustering: pairs that are surely alike, or surely not, teach the others.

    Attributes:
      augmentation: augmentation of the view that learns.
      selection: "sure" leaves out the pairs between two thresholds; "all" has one threshold, as the released code.
      upper: cosine above which two images are alike, at the beginning.
      lower: cosine up to which they are not, at the beginning; of no use with selection "all".
      meeting: where both thresholds end; with selection "all", where the one does.
      adaptive_epochs: epochs until the thresholds are there; None: the whole stage.
      local_weight: weight of the term that keeps a label feature near its old value; 10 in the released code for
        photographs.
      refresh_epochs: epochs between two looks at the clusters' health, which change nothing.
    """

    augmentation: augment.Shifted = augment.Shifted()
    selection: Literal["sure", "all"] = "sure"
    upper: float = field(0.95, above=0, at_most=1)
    lower: float = field(0.455, at_least=0, below=1)
    meeting: float = field(0.5, above=0, below=1)
    adaptive_epochs: float | None = field(None, above=0)
    local_weight: float = field(0.0, at_least=0)
    refresh_epochs: float = field(5.0, above=0)

    refresh_last: ClassVar[bool] = True
    lesson: ClassVar[str] = "a pair that the thresholds tell apart"

    def __post_init__(self):
        super().__post_init__()
        lower = self.lower if self.selection == "sure" else 0.0
        if not lower <= self.meeting <= self.upper:
            raise InputError(
                f"the threshold would rise: it begins at upper, {self.upper:g}, and ends at meeting, "
                f"{self.meeting:g}, which must not be above it"
                if self.selection == "all"
                else f"the thresholds cross before the first step: they meet at {self.meeting:g} (meeting), which "
                f"must lie between lower, {lower:g}, and upper, {self.upper:g}"
            )

    def for_length(self, epochs):
        if self.adaptive_epochs is not None:
            return self
        return dataclasses.replace(self, adaptive_epochs=max(epochs, 1.0))

    def check_batch_size(self, batch_size, spec):
        if batch_size < 2:
            raise InputError("DAC learns from pairs within a batch: batch_size must be at least 2")

    def thresholds(self, epoch: jax.Array | int) -> tuple[jax.Array, jax.Array]:
        """The cosine above which two images are alike, and that up to which they are not, in this epoch."""
        share = jnp.minimum(epoch / (self.adaptive_epochs or PAPER_EPOCHS), 1.0)
        upper = self.upper + share * (self.meeting - self.upper)
        return upper, (upper if self.selection == "all" else self.lower + share * (self.meeting - self.lower))

    def init(self, key, spec):
        model = _Network(self, spec, nnx.Rngs(key))
        return model, {}

    def loss(self, model, aux, batch, key):
        x = batch["x"]
        # Both pass in training mode: running statistics that have seen little tell no two images apart.
        teacher = jax.lax.stop_gradient(self._probs(model, self.plain(x)))
        probs = self._probs(model, self.augmentation(key, x))
        upper, lower = self.thresholds(batch["epoch"])
        pairs, used = losses.pair_cross_entropy(probs, teacher, upper=upper, lower=lower)
        parts = {"pairs": pairs}
        if self.local_weight:
            parts["local"] = self.local_weight * _local(two_views.unit(probs), two_views.unit(teacher))
        return sum(parts.values()), (aux, {**parts, "used": used})

    def learns(self, metrics):
        return None if self.local_weight else metrics["used"] > 0

    def _probs(self, model, x):
        return jax.nn.softmax(model.head(model.encoder(x, train=True), train=True), axis=1)

    def assign(self, model, aux, features):
        return jax.nn.softmax(model.head(features), axis=1)

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        adam = Optimizer(name="adam", learning_rate=1e-3)
        if recipe == "paper":
            return (Stage(method=self, epochs=PAPER_EPOCHS, batch_size=32, optimizer=adam),)
        return (two_views.fast_stage(self, spec, epochs=PAPER_EPOCHS, batch_size=128, optimizer=adam),)


def _local(z, before):
    """Binary cross-entropy of each number of the label features with what it was, without gradient there."""
    z, before = jnp.clip(z, LEAST, 1 - LEAST), jax.lax.stop_gradient(before)
    return -jnp.mean(before * jnp.log(z) + (1 - before) * jnp.log1p(-z))

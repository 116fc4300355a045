"""PICA: PartItion Confidence mAximisation (Huang, Gong, Zhu, CVPR 2020).

The columns of an assignment say which images a cluster holds. Those of plain and of perturbed views are compared
by their cosines: each cluster should be like itself, like no other, and of the size of the others. A head of more
clusters than are wanted takes turns with the one that is reported. No k-means is needed.

Differs from the paper in: the plain view of a pair is the whole image (of handwriting, its middle), where the
paper draws a crop; batch normalisation sees plain and perturbed views together; STL-10's unlabelled images, if
they are trained on, are seen by both sizes of heads. The ``fast`` recipe takes larger batches and a higher
learning rate.
"""

from __future__ import annotations

import dataclasses
import math
from typing import final

from jaxdc import augment, losses
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts.overclustering import OverClustering


@register("pica", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class PICA(OverClustering):
    """Partition Confidence Maximisation.

    The loss of a head is at least ln(1 + (k - 1) / e) for k clusters, 1.461 for 10: cosines are never negative.

    Attributes:
      backbone: the encoder; the paper's is a ResNet-34.
      entropy_weight: weight of the balance between clusters, lambda; 0 lets them collapse.
    """

    augmentation: augment.Weak = augment.Weak(jitter=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0)
    n_heads: int = field(1, at_least=1)
    main_epochs: int = field(1, at_least=1)
    refresh_epochs: float = field(10.0, above=0)
    entropy_weight: float = field(2.0, at_least=0)

    def of_head(self, probs1, probs2):
        return losses.partition_uncertainty(probs1, probs2, lamb=self.entropy_weight)

    def check_batch_size(self, batch_size, spec):
        if batch_size < self.n_clusters:
            raise InputError(
                f"a batch of {batch_size} images can't show {self.n_clusters} clusters, whose assignments PICA "
                f"compares batch by batch; use a batch size of {self.n_clusters} or more"
            )

    def chance(self, batch_size, spec):
        return {"main": math.log(self.n_clusters)}

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":  # 200 rounds, each of two epochs
            method = dataclasses.replace(self, backbone=self.backbone.or_else(depth=34))
            epochs = 200 * (self.over_epochs + self.main_epochs)
            return (Stage(method=method, epochs=epochs, batch_size=256, optimizer=Optimizer(learning_rate=1e-4)),)
        return self.fast(spec, epochs=200, optimizer=Optimizer(learning_rate=1e-3))

"""IIC: Invariant Information Clustering (Ji, Henriques, Vedaldi, ICCV 2019, arXiv 1807.06653).

One network gives an image and perturbed copies of it probabilities of clusters, and learns to make the mutual
information of the two as large as it can be: what it says of one tells what it says of the other, and all clusters
are used. A head of more clusters than are wanted takes turns with the one that is reported. No k-means is needed.

Differs from the paper in: the plain view of a pair is the whole image (of handwriting, its middle), where the
paper draws a crop; batch normalisation sees plain and perturbed views together, and has running statistics, so
that a sample is assigned by itself; STL-10's unlabelled images, if they are trained on, are seen by both sizes of
heads. The ``fast`` recipe learns faster, for a shorter time. ``over_epochs=0`` is what the released script for
MNIST trains: it never selects the other heads.
"""

from __future__ import annotations

import dataclasses
from typing import final

from jaxdc import losses
from jaxdc.errors import InputError
from jaxdc.methods.base import Optimizer, Stage, field, register
from jaxdc.methods.parts.overclustering import OverClustering

PAIRS_OF_A_CELL = 20  # of the joint, times the number of repeats: about what the paper has on CIFAR-10


@register("iic", "pseudo-label")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class IIC(OverClustering):
    """Invariant Information Clustering.

    A batch of b images makes b r pairs, which fill a joint of n_clusters^2 cells: fewer pairs than cells are
    refused, and fewer than 20 n_clusters^2 / r are warned of.

    Attributes:
      backbone: the encoder; the paper's is a ResNet-34, and for MNIST one of four convolutions.
      repeats: perturbed views of each image in a batch, r; the paper has 3 on CIFAR-10 and 5 elsewhere.
      n_over_clusters: clusters of the heads that only help the encoder to learn; None is 7 for each of n_clusters,
        as in the paper but for MNIST, where it is 5.
      entropy_weight: weight of the marginal entropies in the mutual information, lambda; above 1 favours balance.
    """

    entropy_weight: float = field(1.0, above=0)

    def of_head(self, probs1, probs2):
        return losses.mutual_information(probs1, probs2, lamb=self.entropy_weight)

    def chance(self, batch_size, spec):
        return {"main": 0.0}

    def check_batch_size(self, batch_size, spec):
        n_pairs, n_cells = batch_size * self.repeats, self.n_clusters**2
        if n_pairs < n_cells:
            raise InputError(
                f"a batch of {batch_size} images, each with {self.repeats} perturbed views, makes {n_pairs} "
                f"pairs, fewer than the {n_cells} cells of the joint of {self.n_clusters} clusters; "
                f"use a batch size of {-(-n_cells // self.repeats)} or more"
            )

    def batch_size_warning(self, batch_size, spec):
        n_pairs, n_cells, r = batch_size * self.repeats, self.n_clusters**2, self.repeats
        if round(n_pairs * r / n_cells) >= PAIRS_OF_A_CELL:
            return None
        return (
            f"a batch makes {n_pairs:,} pairs for a joint of {n_cells:,} cells ({self.n_clusters} clusters), "
            f"which overestimates the mutual information: {PAIRS_OF_A_CELL * n_cells // r:,} pairs or more are "
            "advised, by a larger batch or more repeats"
        )

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        if recipe == "paper":  # CIFAR-10: 660 pairs, and 2,000 rounds, each of three epochs
            method = dataclasses.replace(self, backbone=self.backbone.or_else(depth=34))
            epochs = 2000 * (self.over_epochs + self.main_epochs)
            return (Stage(method=method, epochs=epochs, batch_size=220, optimizer=Optimizer(learning_rate=1e-4)),)
        return self.fast(spec, epochs=200, optimizer=Optimizer(learning_rate=1e-3))

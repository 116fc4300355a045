"""IDFO, IDFD with the orthogonality constraint, on CIFAR-10.

    jaxdc run experiments/idfo_cifar10.py --data-dir DIR
    jaxdc run experiments/idfo_cifar10.py --data cifar10_jpeg.npz

Not run. Protocol: the 50,000 images of the train split, trained on them without labels and scored on them, as in
the paper, whose k-means clusters the memory bank: the row "by the memory bank". The other is k-means on plain
views, which also predicts new images.
"""

import dataclasses

from jaxdc.methods import ALL
from jaxdc.methods.idfd import DEFAULT_VIEWS
from jaxdc.nn import Backbone

METHOD = ALL["idfo"](
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(DEFAULT_VIEWS, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
)
DATA = "cifar10"
SPLIT = "train"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.828, "nmi": 0.714, "ari": 0.679}  # Tao et al., 2021

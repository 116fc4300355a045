"""IDFO, IDFD with the orthogonality constraint, on CIFAR-100 with its 20 superclasses.

    jaxdc run experiments/idfo_cifar100_20.py --data-dir DIR

Not run. Protocol: the 50,000 images of the train split, trained on them without labels and scored on them, as in
the paper.
"""

import dataclasses

from jaxdc.methods import ALL
from jaxdc.methods.idfd import DEFAULT_VIEWS
from jaxdc.nn import Backbone

METHOD = ALL["idfo"](
    n_clusters=20,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(DEFAULT_VIEWS, mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)),
)
DATA = "cifar100_20"
SPLIT = "train"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.425, "nmi": 0.432, "ari": 0.244}  # Tao et al., 2021

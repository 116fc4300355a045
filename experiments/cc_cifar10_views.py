"""Contrastive Clustering on CIFAR-10: the paper's ablation of augmentation, of both views, one, or none.

    jaxdc run experiments/cc_cifar10_views.py --data-dir DIR [--rows "no view"]

Not run. Protocol as in cc_cifar10.py, whose method is the first row.
"""

from jaxdc.methods import CC
from jaxdc.nn import Backbone

BACKBONE = Backbone(dtype="bfloat16")
ROWS = {
    "both views": CC(n_clusters=10, backbone=BACKBONE),
    "one view": CC(n_clusters=10, backbone=BACKBONE, augmented="one"),
    "no view": CC(n_clusters=10, backbone=BACKBONE, augmented="none"),
}
DATA = "cifar10"
SEEDS = (0, 1, 2)
PUBLISHED = {  # Li et al., 2021
    "both views": {"acc": 0.790, "nmi": 0.705, "ari": 0.637},
    "one view": {"acc": 0.690},
    "no view": {"acc": 0.169},
}

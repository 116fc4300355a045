"""Contrastive Clustering on CIFAR-10: the paper's ablation of its two heads.

    jaxdc run experiments/cc_cifar10_heads.py --data-dir DIR [--rows "cluster head alone"]

Not run. Protocol as in cc_cifar10.py, whose method is the first row. Without the cluster head, k-means clusters
the features.
"""

from jaxdc.methods import CC
from jaxdc.nn import Backbone

BACKBONE = Backbone(dtype="bfloat16")
ROWS = {
    "both heads": CC(n_clusters=10, backbone=BACKBONE),
    "instance head alone": CC(n_clusters=10, backbone=BACKBONE, heads="instance"),
    "cluster head alone": CC(n_clusters=10, backbone=BACKBONE, heads="cluster"),
}
DATA = "cifar10"
SEEDS = (0, 1, 2)
PUBLISHED = {  # Li et al., 2021
    "both heads": {"acc": 0.790, "nmi": 0.705, "ari": 0.637},
    "instance head alone": {"acc": 0.782},
    "cluster head alone": {"acc": 0.657},
}

"""DeepCluster on CIFAR-10.

    jaxdc run experiments/deepcluster_cifar10.py --data-dir DIR

Not run. Protocol: train and test split merged (60,000 images), trained on them without labels and scored on
them. The published figure is that of later papers' tables, whose protocol and network are not at hand; ours is a
ResNet-18. The first row makes its pseudo-labels of ten times as many clusters as there are classes, as the paper
does.
"""

import dataclasses

from jaxdc.methods.deepcluster import DEFAULT_VIEWS, DeepCluster
from jaxdc.nn import Backbone

ONE_EACH = DeepCluster(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(
        DEFAULT_VIEWS,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
    ),
)
ROWS = {
    "100 pseudo-clusters": dataclasses.replace(ONE_EACH, n_pseudo_clusters=100),
    "10 pseudo-clusters": ONE_EACH,
}
DATA = "cifar10"
SEEDS = (0, 1, 2)
PUBLISHED = {"100 pseudo-clusters": {"acc": 0.374, "protocol": "later papers' tables"}}

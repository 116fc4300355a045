"""DeepCluster on CIFAR-100 with its 20 superclasses.

    jaxdc run experiments/deepcluster_cifar100_20.py --data-dir DIR

Not run. Protocol: train and test split merged (60,000 images), trained on them without labels and scored on
them. The published figure is that of later papers' tables, whose protocol and network are not at hand; ours is a
ResNet-18. The second row makes its pseudo-labels of ten times as many clusters.
"""

import dataclasses

from jaxdc.methods.deepcluster import DEFAULT_VIEWS, DeepCluster
from jaxdc.nn import Backbone

ONE_EACH = DeepCluster(
    n_clusters=20,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(
        DEFAULT_VIEWS,
        mean=(0.5071, 0.4867, 0.4408),
        std=(0.2675, 0.2565, 0.2761),
    ),
)
ROWS = {
    "20 pseudo-clusters": ONE_EACH,
    "200 pseudo-clusters": dataclasses.replace(ONE_EACH, n_pseudo_clusters=200),
}
DATA = "cifar100_20"
SEEDS = (0, 1, 2)
PUBLISHED = {"20 pseudo-clusters": {"acc": 0.189, "protocol": "later papers' tables"}}

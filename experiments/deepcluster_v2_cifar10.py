"""DeepCluster-v2 on CIFAR-10.

    jaxdc run experiments/deepcluster_v2_cifar10.py --data-dir DIR

Not run. Protocol: train and test split merged (60,000 images), trained on them without labels and scored on
them. No published figure for it is at hand: the paper trains on ImageNet. The second row makes its
pseudo-labels of ten times as many clusters.
"""

import dataclasses

from jaxdc.augment import Weak
from jaxdc.methods import DeepClusterV2
from jaxdc.nn import Backbone

ONE_EACH = DeepClusterV2(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(crop=(0.08, 1.0), mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
)
ROWS = {
    "10 pseudo-clusters": ONE_EACH,
    "100 pseudo-clusters": dataclasses.replace(ONE_EACH, n_pseudo_clusters=100),
}
DATA = "cifar10"
SEEDS = (0, 1, 2)

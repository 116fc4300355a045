"""DeepCluster-v2 on CIFAR-100 with its 20 superclasses.

    jaxdc run experiments/deepcluster_v2_cifar100_20.py --data-dir DIR

Not run. Protocol: train and test split merged (60,000 images), trained on them without labels and scored on
them. No published figure for it is at hand: the paper trains on ImageNet. The second row makes its
pseudo-labels of ten times as many clusters.
"""

import dataclasses

from jaxdc.augment import Weak
from jaxdc.methods import DeepClusterV2
from jaxdc.nn import Backbone

ONE_EACH = DeepClusterV2(
    n_clusters=20,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(crop=(0.08, 1.0), mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)),
)
ROWS = {
    "20 pseudo-clusters": ONE_EACH,
    "200 pseudo-clusters": dataclasses.replace(ONE_EACH, n_pseudo_clusters=200),
}
DATA = "cifar100_20"
SEEDS = (0, 1, 2)

"""DeepCluster on CIFAR-10.

    jaxdc run experiments/deepcluster_cifar10.py --data-dir DIR

Not run. Protocol: train and test split merged (60,000 images), trained on them without labels and scored on
them. The published figure is a later comparison's, which trained the method on a network of its own; ours is a
ResNet-18. The second row makes its pseudo-labels of ten times as many clusters.
"""

import dataclasses

from jaxdc.augment import Weak
from jaxdc.methods import DeepCluster
from jaxdc.nn import Backbone

ONE_EACH = DeepCluster(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(
        crop=(0.08, 1.0),
        jitter_probability=0.0,
        greyscale_probability=0.0,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
    ),
)
ROWS = {
    "10 pseudo-clusters": ONE_EACH,
    "100 pseudo-clusters": dataclasses.replace(ONE_EACH, n_pseudo_clusters=100),
}
DATA = "cifar10"
SEEDS = (0, 1, 2)
# Ji et al., 2019 (IIC), who ran it for their table
PUBLISHED = {"10 pseudo-clusters": {"acc": 0.374, "protocol": "a later comparison, its own network"}}

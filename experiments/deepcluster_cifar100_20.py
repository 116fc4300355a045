"""DeepCluster on CIFAR-100 with its 20 superclasses.

    jaxdc run experiments/deepcluster_cifar100_20.py --data-dir DIR

Not run. Protocol: train and test split merged (60,000 images), trained on them without labels and scored on
them. The published figure is a later comparison's, which trained the method on a network of its own; ours is a
ResNet-18. The second row makes its pseudo-labels of ten times as many clusters.
"""

import dataclasses

from jaxdc.augment import Weak
from jaxdc.methods import DeepCluster
from jaxdc.nn import Backbone

ONE_EACH = DeepCluster(
    n_clusters=20,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(
        crop=(0.08, 1.0),
        jitter_probability=0.0,
        greyscale_probability=0.0,
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
# Ji et al., 2019 (IIC), who ran it for their table
PUBLISHED = {"20 pseudo-clusters": {"acc": 0.189, "protocol": "a later comparison, its own network"}}

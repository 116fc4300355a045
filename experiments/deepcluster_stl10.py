"""DeepCluster on STL-10.

    jaxdc run experiments/deepcluster_stl10.py --data-dir DIR

Not run. Protocol: train and test split merged (13,000 images), trained on them without labels and scored on
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
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
)
ROWS = {
    "10 pseudo-clusters": ONE_EACH,
    "100 pseudo-clusters": dataclasses.replace(ONE_EACH, n_pseudo_clusters=100),
}
DATA = "stl10"
SEEDS = (0, 1, 2)
# Ji et al., 2019 (IIC), who ran it for their table
PUBLISHED = {"10 pseudo-clusters": {"acc": 0.334, "protocol": "a later comparison, its own network"}}

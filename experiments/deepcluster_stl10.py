"""DeepCluster on STL-10.

    jaxdc run experiments/deepcluster_stl10.py --data-dir DIR

Not run. Protocol: train and test split merged (13,000 images), trained on them without labels and scored on
them. The published figure is that of later papers' tables, whose protocol and network are not at hand; ours is a
ResNet-18. The second row makes its pseudo-labels of ten times as many clusters.
"""

import dataclasses

from jaxdc.methods.deepcluster import DEFAULT_VIEWS, DeepCluster
from jaxdc.nn import Backbone

ONE_EACH = DeepCluster(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(
        DEFAULT_VIEWS,
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
PUBLISHED = {"10 pseudo-clusters": {"acc": 0.334, "protocol": "later papers' tables"}}

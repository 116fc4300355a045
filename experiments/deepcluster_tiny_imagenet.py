"""DeepCluster on Tiny-ImageNet.

    jaxdc run experiments/deepcluster_tiny_imagenet.py --data FOLDER

Not run, and no published figure for it is at hand. FOLDER holds a subfolder a class. Protocol: the 100,000
images of its train folder, trained on them without labels and scored on them. Images are brought to 64 pixels.
The second row makes its pseudo-labels of ten times as many clusters.
"""

import dataclasses

from jaxdc.methods.deepcluster import DEFAULT_VIEWS, DeepCluster
from jaxdc.nn import Backbone

ONE_EACH = DeepCluster(
    n_clusters=200,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(
        DEFAULT_VIEWS,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
)
ROWS = {
    "200 pseudo-clusters": ONE_EACH,
    "2000 pseudo-clusters": dataclasses.replace(ONE_EACH, n_pseudo_clusters=2000),
}
IMAGE_SIZE = 64
SEEDS = (0, 1, 2)

"""Contrastive Clustering on ImageNet-10.

    jaxdc run experiments/cc_imagenet10.py --data FOLDER

Not run. FOLDER holds a subfolder a class. Protocol: the 13,000 training images of 10 classes of ImageNet,
trained on them without labels and scored on them, as in the paper. The paper resizes to
224 pixels (--recipe paper --image-size 224); fast takes 96.
"""

from jaxdc.augment import Weak
from jaxdc.methods import CC
from jaxdc.nn import Backbone

METHOD = CC(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(crop=(0.08, 1.0), jitter=(0.8, 0.8, 0.8, 0.2), blur_probability=0.5),
)
IMAGE_SIZE = 96
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.893, "nmi": 0.859, "ari": 0.822}  # Li et al., 2021

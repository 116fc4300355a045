"""Contrastive Clustering on CIFAR-10.

    jaxdc run experiments/cc_cifar10.py --data-dir DIR
    jaxdc run experiments/cc_cifar10.py --data cifar10_jpeg.npz

Not run. Protocol: train and test split merged, 60,000 images, trained on them without labels and scored on them,
as in the paper. The paper resizes to 224 pixels (--recipe paper); fast keeps 32.
"""

from jaxdc.methods import CC
from jaxdc.nn import Backbone

METHOD = CC(n_clusters=10, backbone=Backbone(dtype="bfloat16"))
DATA = "cifar10"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.790, "nmi": 0.705, "ari": 0.637}  # Li et al., 2021

"""Contrastive Clustering on CIFAR-100 with its 20 superclasses.

    jaxdc run experiments/cc_cifar100_20.py --data-dir DIR

Not run. Protocol: train and test split merged, 60,000 images, trained on them without labels and scored on them,
as in the paper. The paper resizes to 224 pixels (--recipe paper); fast keeps 32.
"""

from jaxdc.methods import CC
from jaxdc.nn import Backbone

METHOD = CC(n_clusters=20, backbone=Backbone(dtype="bfloat16"))
DATA = "cifar100_20"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.429, "nmi": 0.431, "ari": 0.266}  # Li et al., 2021

"""Contrastive Clustering on CIFAR-10.

    jaxdc run experiments/cc_cifar10.py --data-dir DIR
    jaxdc run experiments/cc_cifar10.py --data cifar10_jpeg.npz

Not run. Protocol: train and test split merged, 60,000 images, trained on them without labels and scored on them,
as in the paper. The paper resizes to 224 pixels and trains a ResNet-34 with Adam and batches of 256 (--recipe
paper); fast keeps 32 pixels and trains a ResNet-18 with the optimizer of SCAN's pretext, whose rate goes with the
batch.
"""

from jaxdc.methods import CC
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

BOTH = CC(n_clusters=10, backbone=Backbone(dtype="bfloat16"))
ROWS = {"batch 512": BOTH, "batch 256": BOTH}
SCHEDULES = {"batch 256": Schedule(batch_size=256)}
DATA = "cifar10"
SEEDS = (0, 1, 2)
PUBLISHED = {"batch 256": {"acc": 0.790, "nmi": 0.705, "ari": 0.637, "protocol": "224 pixels"}}  # Li et al., 2021

"""MoCo v2 and k-means on its features on CIFAR-10.

    jaxdc run experiments/moco_cifar10.py --data-dir DIR
    jaxdc run experiments/moco_cifar10.py --data cifar10_jpeg.npz

Not run. Protocol: trained on the 50,000 images of the train split without labels and scored on them. No published
figure is at hand: the paper trains on ImageNet.
"""

from jaxdc.augment import Weak
from jaxdc.methods import MoCo
from jaxdc.nn import Backbone

METHOD = MoCo(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
)
DATA = "cifar10"
SPLIT = "train"
SEEDS = (0, 1, 2)

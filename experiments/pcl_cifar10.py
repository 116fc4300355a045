"""PCL and k-means on its features on CIFAR-10.

    jaxdc run experiments/pcl_cifar10.py --data-dir DIR
    jaxdc run experiments/pcl_cifar10.py --data cifar10_jpeg.npz

Not run. Protocol: train and test split merged, 60,000 images, trained on them without labels and scored on them.
The published figures are not from PCL's paper, which has no such row, but from a later comparison's own training:
the same 60,000 images, 1,000 epochs, a momentum of 0.99, and a symmetric loss, in which each view is once the
query and once the key. fast has that momentum, 450 epochs, and no symmetric loss. 300, 600 and 1,200 prototypes,
the paper's shares of its images.
"""

from jaxdc.augment import Weak
from jaxdc.methods import PCL
from jaxdc.nn import Backbone

METHOD = PCL(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
)
DATA = "cifar10"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.874, "nmi": 0.802, "ari": 0.766, "protocol": "a later comparison, 1,000 epochs"}

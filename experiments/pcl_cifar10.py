"""PCL and k-means on its features on CIFAR-10.

    jaxdc run experiments/pcl_cifar10.py --data-dir DIR
    jaxdc run experiments/pcl_cifar10.py --data cifar10_jpeg.npz

Not run. Protocol: trained on the 50,000 images of the train split without labels and scored on them. The published
figures are not from PCL's paper, which has no such row: they are a later comparison's own training, whose protocol
is not at hand. 250, 500 and 1,000 prototypes, the paper's shares of its images.
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
SPLIT = "train"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.874, "nmi": 0.802, "ari": 0.766, "protocol": "a later comparison's own training"}

"""PCL and k-means on its features on CIFAR-100 with its 20 superclasses.

    jaxdc run experiments/pcl_cifar100_20.py --data-dir DIR

Not run. Protocol: trained on the 50,000 images of the train split without labels and scored on them. The published
figures are not from PCL's paper, which has no such row: they are a later comparison's own training, whose protocol
is not at hand. 250, 500 and 1,000 prototypes.
"""

from jaxdc.augment import Weak
from jaxdc.methods import PCL
from jaxdc.nn import Backbone

METHOD = PCL(
    n_clusters=20,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)),
)
DATA = "cifar100_20"
SPLIT = "train"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.526, "nmi": 0.528, "ari": 0.363, "protocol": "a later comparison's own training"}

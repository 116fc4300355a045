"""PCL and k-means on its features on STL-10: it learns from the unlabelled images too, but does not cluster them.

    jaxdc run experiments/pcl_stl10.py --data-dir DIR --resident-gib 4

Not run. Protocol: trained without labels on train and test split (13,000 images) and on the 100,000 unlabelled
images besides; k-means on the 13,000, and scored on them. The published figures are not from PCL's paper, which
has no such row: they are a later comparison's own training, whose protocol is not at hand, and have no ACC. The
images take up 3 GiB.
"""

from jaxdc.augment import Weak
from jaxdc.methods import PCL
from jaxdc.nn import Backbone

METHOD = PCL(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    n_clustered=13_000,
)
DATA = "stl10"
SPLIT = "all+unlabelled"
SEEDS = (0, 1, 2)
PUBLISHED = {"nmi": 0.718, "ari": 0.670, "protocol": "a later comparison's own training"}

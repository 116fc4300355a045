"""Contrastive Clustering on STL-10, whose unlabelled images feed the contrast between instances alone.

    jaxdc run experiments/cc_stl10.py --data-dir DIR --resident-gib 4

Not run. Protocol: trained without labels on train and test split (13,000 images) and, for the instance head, on
the 100,000 unlabelled images besides; scored on the 13,000, as in the paper. The paper resizes to 224 pixels
(--recipe paper); fast keeps 96. The images take up 3 GiB.
"""

from jaxdc.augment import Weak
from jaxdc.methods import CC
from jaxdc.nn import Backbone

METHOD = CC(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(crop=(0.08, 1.0), jitter=(0.8, 0.8, 0.8, 0.2)),
    n_clustered=13_000,
)
DATA = "stl10"
SPLIT = "all+unlabelled"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.850, "nmi": 0.764, "ari": 0.726}  # Li et al., 2021

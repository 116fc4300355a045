"""SimCLR and k-means on its features on CIFAR-100 with its 20 superclasses.

    jaxdc run experiments/simclr_cifar100_20.py --data-dir DIR

Not run. Protocol: trained on the 50,000 images of the train split without labels and scored on them; the
published model was trained on the same and scored on the test split. The settings are SCAN's pretext.
"""

from jaxdc.augment import Weak
from jaxdc.methods import SimCLR
from jaxdc.nn import Backbone

METHOD = SimCLR(
    n_clusters=20,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761)),
    temperature=0.1,
    anchors="first",
)
DATA = "cifar100_20"
SPLIT = "train"
SEEDS = (0, 1, 2)
# Van Gansbeke et al., 2020, SimCLR + k-means
PUBLISHED = {"acc": 0.395, "nmi": 0.402, "ari": 0.239, "protocol": "scored on the test split"}

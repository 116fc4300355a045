"""SimCLR and k-means on its 128-dimensional output on CIFAR-10.

    jaxdc run experiments/simclr_cifar10.py --data-dir DIR
    jaxdc run experiments/simclr_cifar10.py --data cifar10_jpeg.npz

Not run. Protocol: trained on the 50,000 images of the train split without labels and scored on them; the
published model was trained on the same and scored on the test split. The settings are those of SCAN's pretext,
whose author clusters the output of the projection; --recipe pretext trains for its 500 epochs.
"""

from jaxdc.augment import Weak
from jaxdc.methods import SimCLR
from jaxdc.nn import Backbone

METHOD = SimCLR(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
    temperature=0.1,
    anchors="first",
    embedding="z",
)
DATA = "cifar10"
SPLIT = "train"
SEEDS = (0, 1, 2)
# Van Gansbeke et al., 2020, SimCLR + k-means
PUBLISHED = {"acc": 0.659, "nmi": 0.598, "ari": 0.509, "protocol": "scored on the test split"}

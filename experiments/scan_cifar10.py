"""SCAN and its self-labelling on CIFAR-10.

    jaxdc run experiments/scan_cifar10.py --data-dir DIR
    jaxdc run experiments/scan_cifar10.py --data cifar10_jpeg.npz

Not run. Protocol of the paper: trained on the 50,000 images of the train split without labels, scored on the test
split. Each row begins with the run of the one before it, or of the pretext, whose 128-dimensional output is what
k-means clusters in its row, as its author did. With 20 clusters, more than classes, the figure to compare is the
purity: each cluster counts for its commonest class.

With --recipe paper the pretext is SCAN's own: 500 epochs of SGD.
"""

from jaxdc.augment import Strong, Weak
from jaxdc.methods import SCAN, SelfLabel, SimCLR
from jaxdc.nn import Backbone

SHARED = {"n_clusters": 10, "backbone": Backbone(dtype="bfloat16")}
COLOURS = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)}
STRONG = Strong(**COLOURS)
PRETEXT = "SimCLR + k-means"
OVER = {**SHARED, "n_clusters": 20}
ROWS = {
    PRETEXT: SimCLR(**SHARED, augmentation=Weak(**COLOURS), temperature=0.1, anchors="first", embedding="z"),
    "clustering": SCAN(**SHARED, augmentation=STRONG),
    "self-labelling": SelfLabel(**SHARED, augmentation=STRONG),
    "clustering, 20 clusters": SCAN(**OVER, augmentation=STRONG),
    "self-labelling, 20 clusters": SelfLabel(**OVER, augmentation=STRONG),
}
INIT_FROM = {
    "clustering": PRETEXT,
    "self-labelling": "clustering",
    "clustering, 20 clusters": PRETEXT,
    "self-labelling, 20 clusters": "clustering, 20 clusters",
}
RECIPES = {PRETEXT: {"paper": "pretext", "lecture": "pretext"}}
DATA = "cifar10"
SPLIT = "train"
TEST_SPLIT = "test"
SEEDS = (0, 1, 2)
PUBLISHED = {  # Van Gansbeke et al., 2020
    PRETEXT: {"acc": 0.659, "nmi": 0.598, "ari": 0.509},
    "clustering": {"acc": 0.818, "nmi": 0.712, "ari": 0.665, "protocol": "mean of ten runs"},
    "self-labelling": {"acc": 0.876, "nmi": 0.787, "ari": 0.758, "protocol": "mean of ten runs"},
    "self-labelling, 20 clusters": {"purity": 0.862, "nmi": 0.771, "ari": 0.738, "protocol": "mean of ten runs"},
}

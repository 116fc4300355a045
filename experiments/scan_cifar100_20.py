"""SCAN and its self-labelling on CIFAR-100-20.

    jaxdc run experiments/scan_cifar100_20.py --data-dir DIR

Not run. Protocol of the paper: trained on the 50,000 images of the train split without labels, scored on the test
split. Each row begins with the run of the one before it, or of the pretext. With 200 clusters, more
than classes, the figure to compare is the purity: each cluster counts for its commonest class. The clustering is
trained for 100 epochs with batches of 512, the paper's setting for this set, under every recipe.
"""

from jaxdc.augment import Strong, Weak
from jaxdc.methods import SCAN, SelfLabel, SimCLR
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

SHARED = {"n_clusters": 20, "backbone": Backbone(dtype="bfloat16")}
COLOURS = {"mean": (0.5071, 0.4867, 0.4408), "std": (0.2675, 0.2565, 0.2761)}
STRONG = Strong(**COLOURS)
PRETEXT = "SimCLR + k-means"
OVER = {**SHARED, "n_clusters": 200}
ROWS = {
    PRETEXT: SimCLR(**SHARED, augmentation=Weak(**COLOURS), temperature=0.1, anchors="first", embedding="z"),
    "clustering": SCAN(**SHARED, augmentation=STRONG),
    "self-labelling": SelfLabel(**SHARED, augmentation=STRONG),
    "clustering, 200 clusters": SCAN(**OVER, augmentation=STRONG),
    "self-labelling, 200 clusters": SelfLabel(**OVER, augmentation=STRONG),
}
INIT_FROM = {
    "clustering": PRETEXT,
    "self-labelling": "clustering",
    "clustering, 200 clusters": PRETEXT,
    "self-labelling, 200 clusters": "clustering, 200 clusters",
}
RECIPES = {PRETEXT: {"paper": "pretext", "lecture": "pretext"}}
SCHEDULES = dict.fromkeys(("clustering", "clustering, 200 clusters"), Schedule(epochs=100, batch_size=512))
DATA = "cifar100_20"
SPLIT = "train"
TEST_SPLIT = "test"
SEEDS = (0, 1, 2)
PUBLISHED = {  # Van Gansbeke et al., 2020
    PRETEXT: {"acc": 0.395, "nmi": 0.402, "ari": 0.239},
    "clustering": {"acc": 0.422, "nmi": 0.441, "ari": 0.267, "protocol": "mean of ten runs"},
    "self-labelling": {"acc": 0.459, "nmi": 0.468, "ari": 0.301, "protocol": "mean of ten runs"},
    "self-labelling, 200 clusters": {"purity": 0.551, "nmi": 0.500, "ari": 0.357, "protocol": "mean of ten runs"},
}

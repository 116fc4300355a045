"""SCAN and its self-labelling on STL-10.

    jaxdc run experiments/scan_stl10.py --data-dir DIR

Not run. Protocol of the paper: the pretext is trained on the train split and the 100,000 unlabelled images, the
clustering on the 5,000 of the train split; scored on the test split. Each row begins with the run of the one
before it.
"""

from jaxdc.augment import Strong, Weak
from jaxdc.methods import SCAN, SelfLabel, SimCLR
from jaxdc.nn import Backbone

SHARED = {"n_clusters": 10, "backbone": Backbone(dtype="bfloat16")}
COLOURS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
STRONG = Strong(cutout=(1, 32), **COLOURS)
PRETEXT = "SimCLR + k-means"
ROWS = {
    PRETEXT: SimCLR(**SHARED, augmentation=Weak(**COLOURS), temperature=0.1, anchors="first", embedding="z"),
    "clustering": SCAN(**SHARED, augmentation=STRONG),
    "self-labelling": SelfLabel(**SHARED, augmentation=STRONG),
}
INIT_FROM = {
    "clustering": PRETEXT,
    "self-labelling": "clustering",
}
RECIPES = {PRETEXT: {"paper": "pretext", "lecture": "pretext"}}
DATA = "stl10"
SPLIT = "train+unlabelled"
TEST_SPLIT = "test"
SEEDS = (0, 1, 2)
PUBLISHED = {  # Van Gansbeke et al., 2020
    "clustering": {"acc": 0.792, "nmi": 0.673, "ari": 0.618, "protocol": "best of ten runs"},
    "self-labelling": {"acc": 0.809, "nmi": 0.698, "ari": 0.646, "protocol": "best of ten runs"},
}

"""SimCLR and k-means on its features on STL-10.

    jaxdc run experiments/simclr_stl10.py --data-dir DIR

Not run, and nothing is published for it on these images. Protocol: train and test split merged (13,000 images),
trained on them without labels and scored on them. The settings are SCAN's pretext.
"""

from jaxdc.augment import Weak
from jaxdc.methods import SimCLR
from jaxdc.nn import Backbone

METHOD = SimCLR(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=Weak(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    temperature=0.1,
    anchors="first",
)
DATA = "stl10"
SEEDS = (0, 1, 2)

"""SCAN's clustering step on 50 classes of ImageNet: heads alone on a pretext's features.

    jaxdc run experiments/scan_imagenet50.py --data FOLDER

Not run. FOLDER holds a subfolder a class. As in the paper the pretext is MoCo, the heads alone are trained on its
ResNet-50, ten of them, for 100 epochs with batches of 512, and the one of the lowest loss is kept. Protocol:
trained on the images without labels and scored on them (the paper scores on the validation images). On several
hosts: docs/many-devices.md.
"""

from jaxdc.augment import Strong
from jaxdc.methods import SCAN, MoCo
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

SHARED = {"n_clusters": 50, "backbone": Backbone(depth=50, stem="imagenet", dtype="bfloat16")}
ROWS = {
    "MoCo + k-means": MoCo(**SHARED),
    "clustering": SCAN(**SHARED, augmentation=Strong(crop=(0.2, 1.0)), n_neighbors=50, n_heads=10, frozen=True),
}
INIT_FROM = {"clustering": "MoCo + k-means"}
SCHEDULES = {"clustering": Schedule(epochs=100, batch_size=512)}
IMAGE_SIZE = 224
SEEDS = (0, 1, 2)

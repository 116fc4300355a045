"""IDFO, IDFD with the orthogonality constraint, on ImageNet-10.

    jaxdc run experiments/idfo_imagenet10.py --data FOLDER

Not run, and no published figure for it is at hand. FOLDER holds a subfolder a class. Protocol: the 13,000
training images of 10 classes of ImageNet, trained on them without labels and scored on them. Images are brought
to 96 pixels.
"""

import dataclasses

from jaxdc.methods import ALL
from jaxdc.methods.idfd import DEFAULT_VIEWS
from jaxdc.nn import Backbone

METHOD = ALL["idfo"](
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(DEFAULT_VIEWS, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
)
IMAGE_SIZE = 96
SEEDS = (0, 1, 2)

"""IDFD on Tiny-ImageNet.

    jaxdc run experiments/idfd_tiny_imagenet.py --data FOLDER

Not run, and no published figure for it is at hand. FOLDER holds a subfolder a class. Protocol: the 100,000
images of its train folder, trained on them without labels and scored on them. Images are brought to 64 pixels.
"""

import dataclasses

from jaxdc.methods import IDFD
from jaxdc.methods.idfd import DEFAULT_VIEWS
from jaxdc.nn import Backbone

METHOD = IDFD(
    n_clusters=200,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(DEFAULT_VIEWS, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
)
IMAGE_SIZE = 64
SEEDS = (0, 1, 2)

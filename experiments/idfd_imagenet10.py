"""IDFD on ImageNet-10.

    jaxdc run experiments/idfd_imagenet10.py --data FOLDER

Not run. FOLDER holds a subfolder a class. Protocol: the 13,000 training images of 10 classes of ImageNet,
trained on them without labels and scored on them, as in the paper. Images are brought to
96 pixels, as there.
"""

import dataclasses

from jaxdc.methods import IDFD
from jaxdc.methods.idfd import DEFAULT_VIEWS
from jaxdc.nn import Backbone

METHOD = IDFD(
    n_clusters=10,
    backbone=Backbone(dtype="bfloat16"),
    augmentation=dataclasses.replace(DEFAULT_VIEWS, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
)
IMAGE_SIZE = 96
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.954, "nmi": 0.898, "ari": 0.901}  # Tao et al., 2021

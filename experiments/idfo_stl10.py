"""IDFO, IDFD with the orthogonality constraint, on STL-10.

    jaxdc run experiments/idfo_stl10.py --data-dir DIR

Not run. Protocol: train and test split merged (13,000 images of 96 pixels), trained on them without labels and
scored on them.
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
DATA = "stl10"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.756, "nmi": 0.636, "ari": 0.569}  # Tao et al., 2021

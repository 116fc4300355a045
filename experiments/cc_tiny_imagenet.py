"""Contrastive Clustering on Tiny-ImageNet.

    jaxdc run experiments/cc_tiny_imagenet.py --data FOLDER

Not run. FOLDER holds a subfolder a class. Protocol: the 100,000 images of its train folder,
trained on them without labels and scored on them, as in the paper. The paper resizes to
224 pixels (--recipe paper --image-size 224); fast takes 64.
"""

from jaxdc.methods import CC
from jaxdc.nn import Backbone

METHOD = CC(n_clusters=200, backbone=Backbone(dtype="bfloat16"))
IMAGE_SIZE = 64
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.140, "nmi": 0.340, "ari": 0.071}  # Li et al., 2021

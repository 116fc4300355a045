"""SimCLR and k-means on its features: scikit-learn's digits, all 1,797 images, scored on the same images.

    jaxdc run experiments/simclr_digits.py

A narrow ResNet-10 and views without flips, for two cores; no paper has such a row. Not run.
"""

from jaxdc.augment import Weak
from jaxdc.methods import SimCLR
from jaxdc.nn import Backbone

METHOD = SimCLR(
    n_clusters=10,
    backbone=Backbone(depth=10, width=16),
    augmentation=Weak(crop=(0.4, 1.0), flip=False, greyscale_probability=0.0),
    temperature=0.2,
)
DATA = "digits"
SEEDS = (10, 11, 12)

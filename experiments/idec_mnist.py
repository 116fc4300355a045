"""IDEC on MNIST: all 70,000 images, no labels in training, scored on the same images.

    jaxdc run experiments/idec_mnist.py --data-dir DIR

EXPECTED
"""

from jaxdc.methods import IDEC

METHOD = IDEC(n_clusters=10)
DATA = "mnist"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.8806, "nmi": 0.8672}  # Guo et al., 2017, table 2

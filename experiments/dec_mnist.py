"""DEC on MNIST: all 70,000 images, no labels in training, scored on the same images.

    jaxdc run experiments/dec_mnist.py --data-dir DIR

EXPECTED
"""

from jaxdc.methods import DEC

METHOD = DEC(n_clusters=10)
DATA = "mnist"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.8430}  # Xie et al., 2016, table 2

"""DEC on Fashion-MNIST: all 70,000 images, no labels in training, scored on the same images.

    jaxdc run experiments/dec_fashion_mnist.py --data-dir DIR

EXPECTED
"""

from jaxdc.methods import DEC

METHOD = DEC(n_clusters=10)
DATA = "fashion_mnist"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.62}  # a later port, mean of 10 runs; the paper has no such row

"""DEC with augmented images (DEC-DA) on MNIST: all 70,000 images, scored on the same images.

    jaxdc run experiments/dec_da_mnist.py --data-dir DIR

Not run yet.
"""

from jaxdc.methods import DEC

METHOD = DEC(n_clusters=10, augment=True)
DATA = "mnist"
SEEDS = (0, 1, 2)

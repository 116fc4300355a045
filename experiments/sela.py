"""SeLa: labels that fill all clusters equally, and a network that learns them, by turns.

    jaxdc run experiments/sela.py --on digits
    jaxdc run experiments/sela.py --on mnist_test --data-dir DIR
    jaxdc run experiments/sela.py --on cifar10 --data-dir DIR

All images are trained on without labels and scored; in no paper. digits and mnist_test, MNIST's test split at 16 x
16 pixels, are for two CPU cores: four heads of ten clusters. On CIFAR-10 one row has heads of the ten clusters, of
which that of the lowest loss is reported, and one the paper's ten heads of 128, with k-means on the features.
"""

import dataclasses

from jaxdc.augment import Weak
from jaxdc.experiment import Row, Table
from jaxdc.methods import SeLa
from jaxdc.methods.base import Schedule

from . import datasets

SMALL = SeLa(n_clusters=10, backbone=datasets.RESNET10, augmentation=datasets.DIGITS_VIEWS, n_heads=4)
LARGE = SeLa(n_clusters=10, backbone=datasets.RESNET18, augmentation=Weak(**datasets.CIFAR10.colours))
TABLES = {
    "digits": Table(data=datasets.DIGITS, rows={"SeLa": Row(SMALL)}),
    "mnist_test": Table(
        data=datasets.MNIST_16,
        split="test",
        rows={"SeLa": Row(dataclasses.replace(SMALL, refresh_epochs=0.5), schedule=Schedule(epochs=20))},
    ),
    "cifar10": Table(
        data=datasets.CIFAR10,
        rows={
            "heads of 10": Row(LARGE),
            "heads of 128": Row(dataclasses.replace(LARGE, n_pseudo_clusters=128)),
        },
    ),
}

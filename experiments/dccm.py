"""DCCM: pairs, labels and local features, by what the network says of plain images.

    jaxdc run experiments/dccm.py --on digits
    jaxdc run experiments/dccm.py --on mnist_test --data-dir DIR
    jaxdc run experiments/dccm.py --on cifar10 --data-dir DIR
    jaxdc run experiments/dccm.py --on imagenet10 --data FOLDER

On photographs all images are trained on and scored (of STL-10 the 13,000 with labels), as in the paper. digits and
mnist_test, the test split at 16 x 16 pixels, are in no paper and for two CPU cores, with narrow networks.
"""

import dataclasses
from typing import Any

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import DCCM, KMeans
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets


def small(data: DataSet, backbone: Backbone, epochs: float, split: str = "all") -> Table:
    """For two CPU cores, beside k-means on pixels."""
    method = DCCM(n_clusters=10, backbone=backbone, critic_width=64)
    schedule = Schedule(epochs=epochs, batch_size=128)
    rows = {
        "k-means": Row(KMeans(n_clusters=10)),
        "DCCM": Row(method, schedule=schedule),
        "without the critic": Row(dataclasses.replace(method, information_weight=0.0), schedule=schedule),
    }
    return Table(data=data, rows=rows, seeds=(0, 1, 2), split=split)


def photographs(data: DataSet, **scores: Any) -> Table:
    """The paper's row."""
    method = DCCM(n_clusters=data.n_classes, backbone=datasets.RESNET18)
    return Table(data=data, rows={"DCCM": Row(method, Published(**scores, source="Wu et al., 2019"))})


TABLES = {
    "digits": small(datasets.DIGITS, datasets.RESNET10, 30.0),
    "mnist_test": small(datasets.MNIST_16, datasets.NARROW, 15.0, split="test"),
    "cifar10": photographs(datasets.CIFAR10, acc=0.623, nmi=0.496, ari=0.408),
    "cifar100_20": photographs(datasets.CIFAR100_20, acc=0.327, nmi=0.285, ari=0.173),
    "stl10": photographs(datasets.STL10, acc=0.482, nmi=0.376, ari=0.262),
    "imagenet10": photographs(datasets.IMAGENET10, acc=0.710, nmi=0.608, ari=0.555),
    "imagenet_dogs": photographs(datasets.IMAGENET_DOGS, acc=0.383, nmi=0.321, ari=0.182),
}

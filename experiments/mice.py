"""MiCE: a MoCo for each cluster, and a gate.

    jaxdc run experiments/mice.py --on digits
    jaxdc run experiments/mice.py --on cifar10 --data-dir DIR --recipe paper

Train and test split are trained on and scored together, as in the paper, whose means over runs are given. digits,
in no paper, is for two CPU cores.
"""

import dataclasses

from jaxdc.augment import Digits
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import MiCE
from jaxdc.methods.base import Schedule

from . import datasets

SMALL = MiCE(
    n_clusters=10,
    backbone=datasets.RESNET10,
    digits=Digits(crops=(0.75, 0.875, 1.0)),
    queue_size=1024,
    projection=32,
)


def table(data: DataSet, acc: float, nmi: float, ari: float) -> Table:
    """All images of a set, with the published figures."""
    views = dataclasses.replace(MiCE(n_clusters=2).augmentation, **data.colours)
    method = MiCE(n_clusters=data.n_classes, backbone=datasets.RESNET18, augmentation=views)
    published = Published(acc=acc, nmi=nmi, ari=ari, source="Tsai et al., 2021")
    return Table(data=data, rows={"MiCE": Row(method, published)})


TABLES = {
    "digits": Table(data=datasets.DIGITS, rows={"MiCE": Row(SMALL, schedule=Schedule(epochs=60.0))}),
    "cifar10": table(datasets.CIFAR10, 0.835, 0.737, 0.698),
    "cifar100_20": table(datasets.CIFAR100_20, 0.440, 0.436, 0.280),
    "stl10": table(datasets.STL10, 0.752, 0.635, 0.575),
    "imagenet_dogs": table(datasets.IMAGENET_DOGS, 0.439, 0.423, 0.286),
}

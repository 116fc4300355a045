"""DeepCluster.

    jaxdc run experiments/deepcluster.py --on cifar10 --data-dir DIR
    jaxdc run experiments/deepcluster.py --on imagenet10 --data FOLDER

All images (train and test split merged), trained on them without labels and scored on them. The published
figures are those of later papers' tables, whose protocol and network are not at hand; ours is a ResNet-18. One
row makes its pseudo-labels of as many clusters as there are classes, the other of ten times as many, as the
paper does.
"""

import dataclasses

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods.deepcluster import DEFAULT_VIEWS, DeepCluster

from . import datasets


def table(data: DataSet, **published: float) -> Table:
    """Both rows; the ACC that is published stands beside ``one`` or ``ten`` pseudo-clusters a class."""
    theirs = {name: Published(acc=acc, source="later papers' tables") for name, acc in published.items()}
    one = DeepCluster(
        n_clusters=data.n_classes,
        backbone=datasets.RESNET18,
        augmentation=dataclasses.replace(DEFAULT_VIEWS, **data.colours),
    )
    ten = dataclasses.replace(one, n_pseudo_clusters=10 * data.n_classes)
    rows = {
        f"{data.n_classes} pseudo-clusters": Row(one, theirs.get("one")),
        f"{10 * data.n_classes} pseudo-clusters": Row(ten, theirs.get("ten")),
    }
    return Table(data=data, rows=rows)


TABLES = {
    "cifar10": table(datasets.CIFAR10, ten=0.374),
    "cifar100_20": table(datasets.CIFAR100_20, one=0.189),
    "stl10": table(datasets.STL10, one=0.334),
    "imagenet10": table(datasets.IMAGENET10),
    "imagenet_dogs": table(datasets.IMAGENET_DOGS),
    "tiny_imagenet": table(datasets.TINY_IMAGENET),
}

"""DeepCluster-v2.

    jaxdc run experiments/deepcluster_v2.py --on cifar10 --data-dir DIR

Train and test split merged (60,000 images), trained on them without labels and scored on them. No published
figure for it is at hand: the paper trains on ImageNet. One row makes its pseudo-labels of as many clusters as
there are classes, the other of ten times as many.
"""

import dataclasses

from jaxdc.augment import Weak
from jaxdc.experiment import DataSet, Row, Table
from jaxdc.methods import DeepClusterV2

from . import datasets


def table(data: DataSet) -> Table:
    """Both rows."""
    views = Weak(crop=(0.08, 1.0), **data.colours)
    one = DeepClusterV2(n_clusters=data.n_classes, backbone=datasets.RESNET18, augmentation=views)
    ten = dataclasses.replace(one, n_pseudo_clusters=10 * data.n_classes)
    rows = {
        f"{data.n_classes} pseudo-clusters": Row(one),
        f"{10 * data.n_classes} pseudo-clusters": Row(ten),
    }
    return Table(data=data, rows=rows)


TABLES = {"cifar10": table(datasets.CIFAR10), "cifar100_20": table(datasets.CIFAR100_20)}

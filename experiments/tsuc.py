"""TSUC: an embedding first, then it and the clusters around prototypes that never move.

    jaxdc run experiments/tsuc.py --on digits
    jaxdc run experiments/tsuc.py --on mnist_test --data-dir DIR
    jaxdc run experiments/tsuc.py --on cifar10 --data-dir DIR

On CIFAR and STL-10 the train split is trained on without labels and scored, as in the paper, which reports that of
its five heads which has the lowest loss; STL-10's unlabelled images are embedded in the first stage. digits and
mnist_test, the test split at 16 x 16 pixels, are in no paper and for two CPU cores, with narrow networks.
"""

from jaxdc.augment import Digits
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import TSUC, KMeans
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets

SOURCE = "Han et al., 2020"


def small(data: DataSet, backbone: Backbone, digits: Digits, schedule: Schedule, split: str = "all") -> Table:
    """For two CPU cores, beside k-means on pixels."""
    method = TSUC(n_clusters=10, backbone=backbone, digits=digits)
    rows = {"k-means": Row(KMeans(n_clusters=10)), "TSUC": Row(method, schedule=schedule)}
    return Table(data=data, rows=rows, seeds=(0, 1, 2), split=split)


def photographs(data: DataSet, acc: float, split: str = "train") -> Table:
    """The paper's row."""
    method = TSUC(n_clusters=data.n_classes, backbone=datasets.RESNET18)
    published = Published(acc=acc, source=SOURCE, protocol="train split; head of the lowest loss")
    return Table(data=data, rows={"TSUC": Row(method, published)}, split=split)


TABLES = {
    "digits": small(
        datasets.DIGITS,
        datasets.RESNET10,
        Digits(crops=(0.75, 0.875, 1.0)),
        Schedule(epochs=40.0, pretrain_epochs=40.0, batch_size=128),
    ),
    "mnist_test": small(
        datasets.MNIST_16,
        datasets.NARROW,
        Digits(),
        Schedule(epochs=20.0, pretrain_epochs=20.0, batch_size=128),
        split="test",
    ),
    "cifar10": photographs(datasets.CIFAR10, 0.810),
    "cifar100_20": photographs(datasets.CIFAR100_20, 0.353),
    "stl10": photographs(datasets.STL10, 0.665, split="train+unlabelled"),
}

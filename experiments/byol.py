"""BYOL and k-means on its features.

    jaxdc run experiments/byol.py --on mnist --data-dir DIR
    jaxdc run experiments/byol.py --on cifar10 --data-dir DIR

BYOL's paper trains on ImageNet (74.3% linear, a ResNet-50 after 1,000 epochs). The published figures are those of
ProPos (Huang et al., 2022), which trained it with a ResNet-34 for 1,000 epochs on train and test split merged
and clustered its features by k-means. MNIST's test split, in no paper, is for one CPU core, beside k-means on
pixels: views of 20 pixels, a narrow ResNet-10.
"""

from jaxdc.augment import Digits, Weak
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import BYOL, KMeans
from jaxdc.methods.base import Schedule

from . import datasets

SMALL = BYOL(
    n_clusters=10,
    backbone=datasets.CPU_RESNET,
    digits=Digits(size=20),
    hidden=256,
    projection=64,
)


def photographs(data: DataSet, acc: float) -> Table:
    """Views of the data set's colours, and the published figure."""
    views = Weak(crop=(0.08, 1.0), jitter=(0.4, 0.4, 0.2, 0.1), **data.colours)
    method = BYOL(n_clusters=data.n_classes, backbone=datasets.RESNET18, augmentation=views)
    published = Published(acc=acc, source="Huang et al., 2022", protocol="ResNet-34, 1,000 epochs")
    return Table(data=data, rows={"BYOL": Row(method, published)})


TABLES = {
    "mnist": Table(
        data=datasets.MNIST,
        rows={
            "k-means": Row(KMeans(n_clusters=10)),
            "BYOL": Row(SMALL, schedule=Schedule(epochs=25, batch_size=128, learning_rate=0.1)),
        },
        seeds=(0, 1, 2),
        split="test",
    ),
    "cifar10": photographs(datasets.CIFAR10, 0.894),
    "cifar100_20": photographs(datasets.CIFAR100_20, 0.569),
    "stl10": photographs(datasets.STL10, 0.825),
}

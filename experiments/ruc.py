"""RUC: other methods' clusters as noisy labels, which two networks correct.

    jaxdc run experiments/ruc.py --on digits
    jaxdc run experiments/ruc.py --on mnist_test --data-dir DIR
    jaxdc run experiments/ruc.py --on cifar10 --data-dir DIR

On CIFAR and STL-10 the whole chain, SCAN's pretext, clustering and self-labelling, then RUC, is trained on the
train split without labels and scored on it, as in the paper, whose rows are those of the hybrid selection. digits
and mnist_test, the test split at 16 x 16 pixels, are in no paper and for two CPU cores: narrow networks, and a row
begins with the clusters of the row before it.
"""

import dataclasses
from typing import Any

from jaxdc.augment import Digits
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import DAC, IIC, RUC, KMeans
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets

VIEWS = Digits(crops=(0.75, 0.875, 1.0))
SHORT = Schedule(epochs=20.0, batch_size=128)
SOURCE = "Park et al., 2021"


def published(last: float) -> Published:
    """The last epoch's ACC with hybrid selection, after SCAN."""
    return Published(acc=last, source=SOURCE, protocol="train split trained and scored; hybrid, last epoch")


def chain(data: DataSet, last: float, **settings: Any) -> Table:
    """All stages on photographs."""
    views = dataclasses.replace(RUC(n_clusters=2).augmentation, **data.colours)
    method = RUC(n_clusters=data.n_classes, backbone=datasets.RESNET18, augmentation=views, **settings)
    return Table(data=data, rows={"RUC after SCAN": Row(method, published(last))}, split="train")


def after_others(data: DataSet, backbone: Backbone, digits: Digits, epochs: float, split: str = "all") -> Table:
    """RUC on the clusters of k-means on pixels, and of DAC."""
    method = RUC(n_clusters=10, backbone=backbone, digits=digits)
    schedule = dataclasses.replace(SHORT, epochs=epochs)
    rows = {
        "k-means": Row(KMeans(n_clusters=10)),
        "RUC after k-means": Row(method, init_from="k-means", schedule=schedule),
        "DAC": Row(DAC(n_clusters=10, backbone=backbone), schedule=Schedule(epochs=20.0)),
        # DAC's probabilities are far from 1, but its neighbours vote as SCAN's do.
        "RUC after DAC": Row(dataclasses.replace(method, selection="metric"), init_from="DAC", schedule=schedule),
    }
    return Table(data=data, rows=rows, seeds=(0, 1, 2), split=split)


def after_iic() -> dict[str, Row]:
    """RUC on the clusters of IIC, as it is in its own table."""
    start = IIC(n_clusters=10, backbone=datasets.NARROW, digits=VIEWS, repeats=2, n_over_clusters=50)
    schedule = Schedule(epochs=60, batch_size=128, learning_rate=3e-3)
    method = RUC(n_clusters=10, backbone=datasets.NARROW, digits=VIEWS)
    return {
        "IIC": Row(start, schedule=schedule),
        "RUC after IIC": Row(method, init_from="IIC", schedule=SHORT),
    }


DIGITS = after_others(datasets.DIGITS, datasets.RESNET10, VIEWS, 20.0)
TABLES = {
    "digits": dataclasses.replace(DIGITS, rows={**DIGITS.rows, **after_iic()}),
    "mnist_test": after_others(datasets.MNIST_16, datasets.NARROW, Digits(), 5.0, split="test"),
    "cifar10": chain(datasets.CIFAR10, 0.901),
    "cifar100_20": chain(datasets.CIFAR100_20, 0.543, unclean_weight=100.0, relabel=(0.9, 0.98)),
    "stl10": chain(datasets.STL10, 0.866, unclean_weight=50.0, relabel=(0.9, 0.98)),
}

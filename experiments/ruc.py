"""RUC: other methods' clusters as noisy labels, which two networks correct.

    jaxdc run experiments/ruc.py --on digits
    jaxdc run experiments/ruc.py --on mnist --data-dir DIR
    jaxdc run experiments/ruc.py --on cifar10 --data-dir DIR

On CIFAR and STL-10 the whole chain, SCAN's pretext, clustering and self-labelling, then RUC, is trained on the
train split without labels and scored on it, as in the paper, whose rows are those of the hybrid selection. digits
and MNIST, in no paper, are for two CPU cores: a narrow ResNet-10, and a row begins with the clusters of the row
before it.
"""

import dataclasses
from typing import Any

from jaxdc.augment import Digits
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import DAC, IIC, RUC, KMeans
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets

SMALL = Backbone(depth=10, width=16)
NARROW = Backbone(depth=10, width=8)
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


def after_others(data: DataSet, schedule: Schedule, **dac: Any) -> Table:
    """RUC on the clusters of k-means on pixels, and of DAC."""
    method = RUC(n_clusters=10, backbone=SMALL, digits=VIEWS)
    start = DAC(n_clusters=10, backbone=SMALL, **dac)
    rows = {
        "k-means": Row(KMeans(n_clusters=10)),
        "RUC after k-means": Row(method, init_from="k-means", schedule=SHORT),
        "DAC": Row(start, schedule=schedule),
        "RUC after DAC": Row(method, init_from="DAC", schedule=SHORT),
    }
    return Table(data=data, rows=rows, seeds=(0, 1, 2))


def after_iic() -> dict[str, Row]:
    """RUC on the clusters of IIC, as it is in its own table."""
    start = IIC(n_clusters=10, backbone=NARROW, digits=VIEWS, repeats=2, n_over_clusters=50)
    schedule = Schedule(epochs=60, batch_size=128, learning_rate=3e-3)
    method = RUC(n_clusters=10, backbone=NARROW, digits=VIEWS)
    return {
        "IIC": Row(start, schedule=schedule),
        "RUC after IIC": Row(method, init_from="IIC", schedule=SHORT),
    }


DIGITS = after_others(datasets.DIGITS, Schedule(epochs=20.0))
TABLES = {
    "digits": dataclasses.replace(DIGITS, rows={**DIGITS.rows, **after_iic()}),
    "mnist": after_others(datasets.MNIST, Schedule(epochs=10.0), selection="all", upper=0.9),
    "cifar10": chain(datasets.CIFAR10, 0.901),
    "cifar100_20": chain(datasets.CIFAR100_20, 0.543, unclean_weight=100.0, relabel=(0.9, 0.98)),
    "stl10": chain(datasets.STL10, 0.866, unclean_weight=50.0, relabel=(0.9, 0.98)),
}

"""DAC: pairs that are surely alike, or surely not, teach the others.

    jaxdc run experiments/dac.py --on digits
    jaxdc run experiments/dac.py --on mnist_test --data-dir DIR
    jaxdc run experiments/dac.py --on mnist --data-dir DIR
    jaxdc run experiments/dac.py --on cifar10 --data-dir DIR
    jaxdc run experiments/dac.py --on imagenet10 --data FOLDER

All images are trained on and scored, as in the paper (of STL-10 the 13,000 with labels); views of photographs are
mirrored as well. digits and mnist_test, the test split at 16 x 16 pixels, are for two CPU cores and in no paper.
"""

import dataclasses

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import DAC
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets

SOURCE = "Chang et al., 2017"
SMALL = Backbone(depth=10, width=16)


def small(data: DataSet, backbone: Backbone, split: str = "all") -> Table:
    """Both ways to choose pairs."""
    thresholds = DAC(n_clusters=10, backbone=backbone)
    every = dataclasses.replace(thresholds, selection="all", upper=0.9)
    methods = {"two thresholds": thresholds, "all pairs": every}
    rows = {name: Row(method, schedule=Schedule(epochs=20.0)) for name, method in methods.items()}
    return Table(data=data, rows=rows, seeds=(0, 1, 2), split=split)


def photographs(data: DataSet, acc: float, nmi: float, ari: float) -> Table:
    """The paper's row."""
    method = DAC(n_clusters=data.n_classes, backbone=datasets.RESNET18)
    published = Published(acc=acc, nmi=nmi, ari=ari, source=SOURCE, protocol="as later papers quote it")
    return Table(data=data, rows={"DAC": Row(method, published)})


TABLES = {
    "digits": small(datasets.DIGITS, SMALL),
    "mnist_test": small(datasets.MNIST_16, datasets.NARROW, split="test"),
    "mnist": Table(
        data=datasets.MNIST,
        rows={"DAC": Row(DAC(n_clusters=10, backbone=SMALL), Published(acc=0.9775, source=SOURCE))},
    ),
    "cifar10": photographs(datasets.CIFAR10, 0.522, 0.396, 0.306),
    "cifar100_20": photographs(datasets.CIFAR100_20, 0.238, 0.185, 0.088),
    "stl10": photographs(datasets.STL10, 0.470, 0.366, 0.257),
    "imagenet10": photographs(datasets.IMAGENET10, 0.527, 0.394, 0.302),
    "imagenet_dogs": photographs(datasets.IMAGENET_DOGS, 0.275, 0.219, 0.111),
}

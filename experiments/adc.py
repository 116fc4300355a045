"""ADC: walks from the centroids of clusters to images and back.

    jaxdc run experiments/adc.py --on digits
    jaxdc run experiments/adc.py --on mnist --data-dir DIR

The published figures are as IIC's paper quotes them. All images are trained on and scored; the released code
trains on MNIST's train split and scores the test split, and repeats bad runs, which it knows by their labels.
digits and mnist_test, the test split at 16 x 16 pixels, are for two CPU cores and in no paper.
"""

from jaxdc.augment import Digits, Weak
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import ADC
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets

SMALL = ADC(
    n_clusters=10, backbone=Backbone(depth=10, width=16, stem="cifar"), digits=Digits(crops=(0.75, 0.875, 1.0))
)
# 1,000 steps before k-means, as in the released code: after 160 its clusters are wrong and stay so.
NARROW = ADC(n_clusters=10, backbone=datasets.NARROW, digits=Digits(), pretext_epochs=13.0)


def table(data: DataSet, acc: float, recipe: str = "fast") -> Table:
    """All images of a set, with a published ACC."""
    method = ADC(n_clusters=data.n_classes, backbone=datasets.RESNET18, augmentation=Weak(**data.colours))
    return Table(data=data, rows={"ADC": Row(method, Published(acc=acc, source="Ji et al., 2019"))}, recipe=recipe)


TABLES = {
    "digits": Table(data=datasets.DIGITS, rows={"ADC": Row(SMALL, schedule=Schedule(epochs=60.0))}),
    "mnist_test": Table(
        data=datasets.MNIST_16, split="test", rows={"ADC": Row(NARROW, schedule=Schedule(epochs=40.0))}
    ),
    "mnist": table(datasets.MNIST, 0.992, "paper"),
    "cifar10": table(datasets.CIFAR10, 0.325),
    "cifar100_20": table(datasets.CIFAR100_20, 0.160),
    "stl10": table(datasets.STL10, 0.530),
}

"""JULE: clusters merge, and what merged teaches the network.

    jaxdc run experiments/jule.py --on digits
    jaxdc run experiments/jule.py --on mnist_test --data-dir DIR
    jaxdc run experiments/jule.py --on mnist --data-dir DIR

All images are trained on and scored. jaxdc reports the clusters that training ended with, the paper's "SF", and
scores "RC" as well, which clusters the final features again. The published figures are as later papers quote them:
of MNIST SF's; of photographs it isn't said whether they are SF's or RC's. mnist_test, 10,000 images brought to
16 x 16 pixels, has about the size of the paper's USPS, where SF has 0.922 and RC 0.950. digits and mnist_test are
for two CPU cores, the second with a narrower network.
"""

from jaxdc.augment import Original
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import JULE

from . import datasets

SMALL = JULE(n_clusters=10, backbone=datasets.RESNET10)
NARROW = JULE(n_clusters=10, backbone=datasets.NARROW)


def table(data: DataSet, which: str, acc: float, nmi: float, ari: float | None = None) -> Table:
    """All images of a set, with the published figures."""
    protocol = f"{which}, as later papers quote it"
    published = Published(acc=acc, nmi=nmi, ari=ari, source="Yang et al., 2016", protocol=protocol)
    colours = Original(**data.colours)
    method = JULE(n_clusters=data.n_classes, backbone=datasets.RESNET18, augmentation=colours)
    return Table(data=data, rows={"JULE": Row(method, published)})


EITHER = "SF or RC"
TABLES = {
    "digits": Table(data=datasets.DIGITS, rows={"JULE": Row(SMALL)}),
    "mnist_test": Table(data=datasets.MNIST_16, split="test", rows={"JULE": Row(NARROW)}),
    "mnist": table(datasets.MNIST, "SF (RC: 0.964 / 0.913)", 0.959, 0.906),
    "cifar10": table(datasets.CIFAR10, EITHER, 0.272, 0.192, 0.138),
    "cifar100_20": table(datasets.CIFAR100_20, EITHER, 0.137, 0.103, 0.033),
    "stl10": table(datasets.STL10, EITHER, 0.277, 0.182, 0.164),
}

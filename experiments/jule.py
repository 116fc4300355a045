"""JULE: clusters merge, and what merged teaches the network.

    jaxdc run experiments/jule.py --on digits
    jaxdc run experiments/jule.py --on mnist_test --data-dir DIR
    jaxdc run experiments/jule.py --on mnist --data-dir DIR

All images are trained on and scored; the published figures are those of "RC", which clusters the final features
again. jaxdc reports the clusters that training ended with, and scores RC as well. mnist_test, 10,000
images brought to 16 x 16 pixels, has about the size of the paper's USPS, where 0.950 is published. digits and
mnist_test are for two CPU cores, the second with a narrower network.
"""

from jaxdc.augment import Original
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import JULE

from . import datasets

SMALL = JULE(n_clusters=10, backbone=datasets.RESNET10)
NARROW = JULE(n_clusters=10, backbone=datasets.NARROW)


def table(data: DataSet, acc: float, nmi: float, ari: float | None = None) -> Table:
    """All images of a set, with the published figures."""
    quoted = "as later papers quote it"
    published = Published(acc=acc, nmi=nmi, ari=ari, source="Yang et al., 2016", protocol=quoted)
    colours = Original(**data.colours)
    method = JULE(n_clusters=data.n_classes, backbone=datasets.RESNET18, augmentation=colours)
    return Table(data=data, rows={"JULE": Row(method, published)})


TABLES = {
    "digits": Table(data=datasets.DIGITS, rows={"JULE": Row(SMALL)}),
    "mnist_test": Table(data=datasets.MNIST_16, split="test", rows={"JULE": Row(NARROW)}),
    "mnist": table(datasets.MNIST, 0.964, 0.913),
    "cifar10": table(datasets.CIFAR10, 0.272, 0.192, 0.138),
    "cifar100_20": table(datasets.CIFAR100_20, 0.137, 0.103, 0.033),
    "stl10": table(datasets.STL10, 0.277, 0.182, 0.164),
}

"""PICA: the columns of two views' assignments shall match one to one.

    jaxdc run experiments/pica.py --on digits
    jaxdc run experiments/pica.py --on mnist_test --data-dir DIR
    jaxdc run experiments/pica.py --on cifar10 --data-dir DIR
    jaxdc run experiments/pica.py --on stl10 --data-dir DIR --resident-gib 4
    jaxdc run experiments/pica.py --on imagenet10 --data FOLDER

All images are trained on and scored, as in the paper; of STL-10 the 13,000 with labels are scored, and the 100,000
others are trained on too (3 GiB), in the paper by the head of more clusters alone. The published figures are means
of runs, of STL-10 those of the best. digits, in no paper, is for two CPU cores; its network, views and length are
those of ``iic.py``, untuned for PICA, and so are those of mnist_test.
"""

from jaxdc.experiment import Published
from jaxdc.methods import PICA

from . import datasets
from .iic import photographs, tables


def published(acc: float, nmi: float, ari: float, protocol: str = "mean, as later papers quote it") -> Published:
    """Of the paper."""
    return Published(acc=acc, nmi=nmi, ari=ari, source="Huang et al., 2020", protocol=protocol)


TABLES = {
    **tables(PICA),
    "cifar10": photographs(PICA, datasets.CIFAR10, published(0.645, 0.561, 0.467)),
    "cifar100_20": photographs(PICA, datasets.CIFAR100_20, published(0.322, 0.296, 0.159)),
    "stl10": photographs(PICA, datasets.STL10, published(0.713, 0.611, 0.531, "best run"), "all+unlabelled"),
    "imagenet10": photographs(PICA, datasets.IMAGENET10, published(0.850, 0.782, 0.733)),
    "imagenet_dogs": photographs(PICA, datasets.IMAGENET_DOGS, published(0.324, 0.336, 0.179)),
}

"""IIC: over-clustering heads take turns with those of the classes.

    jaxdc run experiments/iic.py --on digits
    jaxdc run experiments/iic.py --on mnist_test --data-dir DIR
    jaxdc run experiments/iic.py --on cifar10 --data-dir DIR

On CIFAR-10 all 60,000 images are trained on and scored, as in the paper. digits, in no paper, is for two CPU
cores: a narrow ResNet-10, 50 clusters beside the 10 as in the paper's row of MNIST, and crops that leave more of a
digit than MNIST's do, whose digits have a margin; 840 steps. mnist_test, the test split at 16 x 16 pixels, is too.
"""

import dataclasses

from jaxdc.augment import Digits
from jaxdc.experiment import Published, Row, Table
from jaxdc.methods import IIC, PICA
from jaxdc.methods.base import Schedule

from . import datasets


def tables(method: type[IIC] | type[PICA], published: Published) -> dict[str, Table]:
    """Those of a method with over-clustering heads; the published figures are of CIFAR-10."""
    name = method.__name__
    small = method(
        n_clusters=10,
        backbone=datasets.NARROW,
        digits=Digits(crops=(0.75, 0.875, 1.0)),
        repeats=2,
        n_over_clusters=50,
    )
    short = Schedule(epochs=60, batch_size=128, learning_rate=3e-3)
    handwriting = dataclasses.replace(small, digits=Digits())
    large = method(n_clusters=10, backbone=datasets.RESNET18)
    return {
        "digits": Table(data=datasets.DIGITS, rows={name: Row(small, schedule=short)}),
        "mnist_test": Table(
            data=datasets.MNIST_16,
            split="test",
            rows={name: Row(handwriting, schedule=dataclasses.replace(short, epochs=15))},
        ),
        "cifar10": Table(data=datasets.CIFAR10, rows={name: Row(large, published)}),
    }


TABLES = tables(IIC, Published(acc=0.617, nmi=0.513, ari=0.411, source="Ji et al., 2019"))

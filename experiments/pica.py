"""PICA: the columns of two views' assignments shall match one to one.

    jaxdc run experiments/pica.py --on digits
    jaxdc run experiments/pica.py --on cifar10 --data-dir DIR

On CIFAR-10 all 60,000 images are trained on and scored, as in the paper, whose mean is given. digits, in no paper,
is for two CPU cores; its network, views and length are those of ``iic.py``, untuned for PICA.
"""

from jaxdc.augment import Digits
from jaxdc.experiment import Published, Row, Table
from jaxdc.methods import PICA
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets

SMALL = PICA(
    n_clusters=10,
    backbone=Backbone(depth=10, width=8),
    digits=Digits(crops=(0.75, 0.875, 1.0)),
    repeats=2,
    n_over_clusters=50,
)
TABLES = {
    "digits": Table(
        data=datasets.DIGITS,
        rows={"PICA": Row(SMALL, schedule=Schedule(epochs=60, batch_size=128, learning_rate=3e-3))},
        seeds=(0, 1, 2),
    ),
    "cifar10": Table(
        data=datasets.CIFAR10,
        rows={
            "PICA": Row(
                PICA(n_clusters=10, backbone=datasets.RESNET18),
                published=Published(acc=0.645, nmi=0.561, ari=0.467, source="Huang et al., 2020"),
            )
        },
        split="all",
    ),
}

"""DAC: pairs that are surely alike, or surely not, teach the others.

    jaxdc run experiments/dac.py --on digits
    jaxdc run experiments/dac.py --on mnist_test --data-dir DIR
    jaxdc run experiments/dac.py --on mnist --data-dir DIR

All images are trained on and scored, as in the paper. digits and mnist_test, the test split at 16 x 16 pixels, are
for two CPU cores and in no paper.
"""

import dataclasses

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import DAC
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets

SMALL = Backbone(depth=10, width=16)


def small(data: DataSet, backbone: Backbone, split: str = "all") -> Table:
    """Both ways to choose pairs."""
    thresholds = DAC(n_clusters=10, backbone=backbone)
    every = dataclasses.replace(thresholds, selection="all", upper=0.9)
    methods = {"two thresholds": thresholds, "all pairs": every}
    rows = {name: Row(method, schedule=Schedule(epochs=20.0)) for name, method in methods.items()}
    return Table(data=data, rows=rows, seeds=(0, 1, 2), split=split)


TABLES = {
    "digits": small(datasets.DIGITS, SMALL),
    "mnist_test": small(datasets.MNIST_16, datasets.NARROW, split="test"),
    "mnist": Table(
        data=datasets.MNIST,
        rows={"DAC": Row(DAC(n_clusters=10, backbone=SMALL), Published(acc=0.9775, source="Chang et al., 2017"))},
    ),
}

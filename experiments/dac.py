"""DAC: pairs that are surely alike, or surely not, teach the others.

    jaxdc run experiments/dac.py --on digits
    jaxdc run experiments/dac.py --on mnist --data-dir DIR

All images are trained on and scored, as in the paper. digits, in no paper, is for two CPU cores.
"""

from jaxdc.experiment import Published, Row, Table
from jaxdc.methods import DAC
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

from . import datasets

SMALL = Backbone(depth=10, width=16)
TABLES = {
    "digits": Table(
        data=datasets.DIGITS,
        rows={
            "two thresholds": Row(DAC(n_clusters=10, backbone=SMALL), schedule=Schedule(epochs=20.0)),
            "all pairs": Row(
                DAC(n_clusters=10, backbone=SMALL, selection="all", upper=0.9), schedule=Schedule(epochs=20.0)
            ),
        },
        seeds=(0, 1, 2),
    ),
    "mnist": Table(
        data=datasets.MNIST,
        rows={"DAC": Row(DAC(n_clusters=10, backbone=SMALL), Published(acc=0.9775, source="Chang et al., 2017"))},
    ),
}

"""DEC and IDEC with augmented images (DEC-DA, IDEC-DA): all images, scored on the same images.

jaxdc run experiments/dec_da.py --on digits jaxdc run experiments/dec_da.py --on mnist --data-dir DIR
"""

from jaxdc.experiment import DataSet, Row, Table
from jaxdc.methods import AE, DEC, IDEC

from .datasets import DIGITS, MNIST

PRETRAINED = "AE, k-means"  # what DEC and IDEC would begin with


def table(data: DataSet, corruption: float, **settings) -> Table:
    """Both, from the same pre-training."""
    rows = {
        PRETRAINED: Row(AE(n_clusters=10, corruption=corruption, augment=True)),
        "DEC-DA": Row(DEC(n_clusters=10, augment=True), init_from=PRETRAINED),
        "IDEC-DA": Row(IDEC(n_clusters=10, augment=True), init_from=PRETRAINED),
    }
    return Table(data=data, rows=rows, **settings)


TABLES = {
    "digits": table(DIGITS, corruption=0.0),
    "mnist": table(MNIST, corruption=0.2, seeds=(30, 31, 32), recipe="long"),
}

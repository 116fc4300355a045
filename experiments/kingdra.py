"""Kingdra on digits, on MNIST and on newswire; the recipe fast does without the paper's ladder networks.

    jaxdc run experiments/kingdra.py --on digits
    jaxdc run experiments/kingdra.py --on mnist --data-dir DIR --split test     # 10,000 images: two CPU cores
    jaxdc run experiments/kingdra.py --on mnist --data-dir DIR
    jaxdc run experiments/kingdra.py --on r8 --data reuters-r8.jsonl.gz

All samples, trained on them without labels and scored on them. Texts are tf-idf of 2,000 terms; their labels need
no confidence, as in the paper. The paper's Reuters is another sample of it, of four classes.
"""

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import Kingdra

from . import datasets

MNIST = Published(acc=0.985, source="Gupta et al., 2020", protocol="ladder networks")


def table(data: DataSet, theirs: Published | None = None, **settings) -> Table:
    """Kingdra alone."""
    return Table(data=data, rows={"Kingdra": Row(Kingdra(n_clusters=data.n_classes, **settings), theirs)})


TABLES = {
    "digits": table(datasets.DIGITS),
    "mnist": table(datasets.MNIST, MNIST),
    "r8": table(datasets.R8, confidence=0.0),
}

"""VaDE: a variational autoencoder with a Gaussian for each cluster.

    jaxdc run experiments/vade.py --on digits
    jaxdc run experiments/vade.py --on mnist --data-dir DIR
    jaxdc run experiments/vade.py --on mnist_test --data-dir DIR    # its test split, for two CPU cores

All samples, trained on without labels and scored on them. The published figure is of MNIST's 70,000 images, with
--recipe paper.
"""

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import VaDE
from jaxdc.methods.base import Schedule

from . import datasets


def table(data: DataSet, theirs: Published | None = None, schedule: Schedule | None = None, **settings) -> Table:
    """VaDE alone."""
    row = Row(VaDE(n_clusters=data.n_classes), theirs, schedule=schedule)
    return Table(data=data, rows={"VaDE": row}, **settings)


TABLES = {
    "digits": table(datasets.DIGITS, seeds=(10, 11, 12)),
    "mnist": table(datasets.MNIST, Published(acc=0.9446, source="Jiang et al., 2017")),
    "mnist_test": table(
        datasets.MNIST, schedule=Schedule(pretrain_epochs=50, epochs=60), split="test", seeds=(10, 11, 12)
    ),
}

"""Clusters from eigenvectors: LDMGI and SEC, the shallow rows of DEC's table, and spectral clustering.

    jaxdc run experiments/spectral.py --on digits
    jaxdc run experiments/spectral.py --on mnist_test --data-dir DIR
    jaxdc run experiments/spectral.py --on stl10_hog --data-dir DIR

All samples, without labels, scored on them. DEC's authors searched the regularisation of LDMGI and SEC and report
the best by the labels; here each has the default. Their figures are of all of MNIST, of STL-10's gradient
histograms, and of a sample of Reuters' newswire.
"""

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import LDMGI, SEC, Spectral

from . import datasets

SOURCE, PROTOCOL = "Xie et al., 2016, table 2", "the best of many settings by the labels"


def table(data: DataSet, ldmgi: float | None = None, sec: float | None = None, **settings) -> Table:
    """The three; the ACC that DEC's table has."""
    theirs = [
        None if acc is None else Published(acc=acc, source=SOURCE, protocol=PROTOCOL) for acc in (ldmgi, sec)
    ]
    rows = {
        "spectral": Row(Spectral(n_clusters=data.n_classes)),
        "LDMGI": Row(LDMGI(n_clusters=data.n_classes), theirs[0]),
        "SEC": Row(SEC(n_clusters=data.n_classes), theirs[1]),
    }
    return Table(data=data, rows=rows, **settings)


TABLES = {
    "digits": table(datasets.DIGITS),
    "mnist_test": table(datasets.MNIST, split="test"),
    "mnist": table(datasets.MNIST, 0.8409, 0.8037),
    "stl10_hog": table(datasets.STL10_HOG, 0.3308, 0.3075),
    "rcv1": table(datasets.RCV1, 0.4384, 0.6008, split="10k"),
}

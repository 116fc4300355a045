"""DEC on pictures, and on texts with IDEC, k-means and spectral clustering of the same vectors beside it.

    jaxdc run experiments/dec.py --on digits                                # the README's quick start
    jaxdc run experiments/dec.py --on mnist --data-dir DIR
    jaxdc run experiments/dec.py --on mnist_test_16 --data-dir DIR          # both starts, on a small set
    jaxdc run experiments/dec.py --on r8 --data reuters-r8.jsonl.gz
    jaxdc run experiments/dec.py --on rcv1 --data-dir DIR                   # a sample of 10,000 documents
    jaxdc run experiments/dec.py --on rcv1 --data-dir DIR --split all       # all of them, which stream
    pip install '.[data,experiments]' && jaxdc run experiments/dec.py --on stl10_hog --data-dir DIR

All samples (train and test split merged; of mnist_test and mnist_test_16 the test split alone), trained on them
without labels and scored on them. Texts are tf-idf of 2,000 terms. rcv1 is the paper's protocol for newswire in
four categories, which scikit-learn downloads into DIR: 685,071 documents of one root category in the paper, ACC
0.7563 of all of them (table 2). stl10_hog is its protocol for STL-10 by gradient histograms and a colour map,
of 13,000 images; the paper's autoencoder also learns from the 100,000 unlabelled ones.
"""

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import AE, DEC, IDEC, KMeans, Spectral

from . import datasets

PAPER = "Xie et al., 2016, table 2"


def pictures(data: DataSet, theirs: Published | None = None, **settings) -> Table:
    """DEC alone."""
    return Table(data=data, rows={"DEC": Row(DEC(n_clusters=data.n_classes), theirs)}, **settings)


def starts(data: DataSet, **settings) -> Table:
    """DEC from either start, of the same pre-training."""
    k, before = data.n_classes, "AE, k-means"
    rows = {
        before: Row(AE(n_clusters=k, corruption=0.2)),
        "DEC": Row(DEC(n_clusters=k), init_from=before),
        "DEC, k-means start": Row(DEC(n_clusters=k, start="k-means"), init_from=before),
    }
    return Table(data=data, rows=rows, **settings)


def texts(data: DataSet, seeds: tuple[int, ...], **settings) -> Table:
    """DEC and IDEC beside what has no network."""
    methods = {"k-means": KMeans(n_clusters=data.n_classes), "spectral": Spectral(n_clusters=data.n_classes)}
    methods |= {
        "DEC": DEC(n_clusters=data.n_classes, **settings),
        "IDEC": IDEC(n_clusters=data.n_classes, **settings),
    }
    return Table(data=data, rows={name: Row(method) for name, method in methods.items()}, seeds=seeds)


TABLES = {
    "digits": pictures(datasets.DIGITS, seeds=(10, 11, 12)),
    "mnist": pictures(datasets.MNIST, Published(acc=0.8430, source=PAPER)),
    "mnist_test": starts(datasets.MNIST, split="test", seeds=(300, 301, 302, 303, 304)),
    "mnist_test_16": starts(datasets.MNIST_16, split="test", seeds=(300, 301, 302, 303, 304)),
    "fashion_mnist": pictures(
        datasets.FASHION_MNIST,
        Published(acc=0.62, source="a later port, mean of 10 runs; the paper has no such row"),
        seeds=(20, 21, 22, 23, 24),
        recipe="sgd",
    ),
    "stl10_hog": pictures(datasets.STL10_HOG, Published(acc=0.3590, source=PAPER)),
    "20newsgroups": texts(datasets.NEWSGROUPS, seeds=(0, 1, 2)),
    "r8": texts(datasets.R8, seeds=(20, 21, 22, 23, 24), corruption=0.8, tolerance=0.02),
    "rcv1": Table(
        data=datasets.RCV1,
        rows={
            "k-means": Row(KMeans(n_clusters=4)),
            "DEC": Row(DEC(n_clusters=4), Published(acc=0.7217, source=PAPER, protocol="the paper's own sample")),
        },
        split="10k",
    ),
}

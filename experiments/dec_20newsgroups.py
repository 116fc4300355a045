"""DEC and IDEC on 20 Newsgroups, tf-idf of 2,000 terms, with k-means and spectral clustering of the same matrix.

    jaxdc run experiments/dec_20newsgroups.py --data 20newsgroups.jsonl.gz

The file: a JSON object a line, with text (lower-cased, letters only), label and split.
"""

from jaxdc.methods import DEC, IDEC, KMeans, Spectral

ROWS = {
    "k-means": KMeans(n_clusters=20),
    "spectral": Spectral(n_clusters=20),
    "DEC": DEC(n_clusters=20),
    "IDEC": IDEC(n_clusters=20),
}
SEEDS = (0, 1, 2)

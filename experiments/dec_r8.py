"""DEC and IDEC on Reuters R8, tf-idf of 2,000 terms, with k-means and spectral clustering of the same matrix.

    jaxdc run experiments/dec_r8.py --data reuters-r8.jsonl.gz

The file: a JSON object a line, with text (lower-cased, letters only), label and split.
"""

from jaxdc.methods import DEC, IDEC, KMeans, Spectral

ROWS = {
    "k-means": KMeans(n_clusters=8),
    "spectral": Spectral(n_clusters=8),
    "DEC": DEC(n_clusters=8),
    "IDEC": IDEC(n_clusters=8),
}
SEEDS = (0, 1, 2)

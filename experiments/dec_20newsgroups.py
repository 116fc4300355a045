"""DEC and IDEC on 20 Newsgroups, tf-idf of 2,000 terms, with k-means and spectral clustering of the same matrix.

    jaxdc run experiments/dec_20newsgroups.py --data 20newsgroups.jsonl.gz

The file: a JSON object a line, with text (lower-cased, letters only), label and split.

Recipe fast, seeds 0, 1, 2, all 18,821 documents, scored on the same, two CPU cores beside other work:
k-means: ACC 0.3802 ± 0.0117, NMI 0.4174 ± 0.0183, ARI 0.1545 ± 0.0102, 73 s a seed;
spectral: ACC 0.0835, NMI 0.0647, ARI 0.0004 for each seed, 28 s: nearly all documents fall into one cluster;
DEC: ACC 0.5775 ± 0.0247, NMI 0.5719 ± 0.0119, ARI 0.4088 ± 0.0129, 168 s;
IDEC: ACC 0.5500 ± 0.0133, NMI 0.5428 ± 0.0110, ARI 0.3397 ± 0.0219, 333 s.
Nothing was chosen on these seeds; a run of DEC takes 134 s where nothing else runs, tf-idf included.
"""

from jaxdc.methods import DEC, IDEC, KMeans, Spectral

ROWS = {
    "k-means": KMeans(n_clusters=20),
    "spectral": Spectral(n_clusters=20),
    "DEC": DEC(n_clusters=20),
    "IDEC": IDEC(n_clusters=20),
}
SEEDS = (0, 1, 2)

"""TURTLE on six views of 2,000 handwritten digits (UCI multiple features), beside k-means on all their columns.

    jaxdc run experiments/turtle.py --data mfeat.npz

The file: an array [2000, d] of each view, and label. The columns are brought to mean 0 and variance 1.

Recipe fast, seeds 0 to 4, all samples, scored on the same, two CPU cores beside much other work:
k-means: ACC 0.8046 ± 0.0656, NMI 0.8115 ± 0.0240, ARI 0.7399 ± 0.0523, 26 s a seed;
TURTLE: ACC 0.9642 ± 0.0028, NMI 0.9177 ± 0.0048, ARI 0.9220 ± 0.0058, 149 s.
TEMI has ACC 0.9512 ± 0.0008 on the same columns (``temi_mfeat.py``, seeds 0, 1, 2).
The recipe was chosen on seed 100, one for all sets.
"""

from jaxdc.methods import TURTLE, KMeans

ROWS = {"k-means": KMeans(n_clusters=10), "TURTLE": TURTLE(n_clusters=10)}
VIEWS = "fou,fac,kar,zer,mor,pix"
SEEDS = (0, 1, 2, 3, 4)

"""TEMI on the multiple features of 2,000 handwritten digits (UCI), 649 columns of six kinds, beside k-means.

    jaxdc run experiments/temi_mfeat.py --data mfeat.npz

The file: an array [2000, d] of each kind, and label. The columns are brought to mean 0 and variance 1.

Recipe fast, seeds 0, 1, 2, all samples, scored on the same, two CPU cores beside other work:
k-means: ACC 0.7755 ± 0.0013, NMI 0.8008 ± 0.0020, ARI 0.7168 ± 0.0025, 3 s a seed;
TEMI: ACC 0.9512 ± 0.0008, NMI 0.8995 ± 0.0027, ARI 0.8931 ± 0.0015, 41 s.
The recipe was chosen on seed 100, one for all sets.
"""

from jaxdc.methods import TEMI, KMeans

ROWS = {"k-means": KMeans(n_clusters=10), "TEMI": TEMI(n_clusters=10)}
VIEWS = "fou,fac,kar,zer,mor,pix"
SEEDS = (0, 1, 2)

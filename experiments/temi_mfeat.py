"""TEMI on the multiple features of 2,000 handwritten digits (UCI), 649 columns of six kinds, beside k-means.

    jaxdc run experiments/temi_mfeat.py --data mfeat.npz

The file: an array [2000, d] of each kind, and label. The columns are brought to mean 0 and variance 1.
"""

from jaxdc.methods import TEMI, KMeans

ROWS = {"k-means": KMeans(n_clusters=10), "TEMI": TEMI(n_clusters=10)}
VIEWS = "fou,fac,kar,zer,mor,pix"
SEEDS = (0, 1, 2)

"""CMSC-DCCA on two views of 2,000 handwritten digits (UCI multiple features), beside what sees one, or no graph.

    jaxdc run experiments/cmsc_dcca_mfeat.py --data mfeat.npz

The file: fac, 216 profile correlations, pix, 240 averages of 2 x 3 pixels, and label.
"""

from jaxdc.methods import CMSCDCCA, DSCNet, KMeans, Spectral

SETTINGS = {"n_clusters": 10, "norm_weight": 0.72}
ROWS = {
    "k-means": KMeans(n_clusters=10),
    "k-means, fac": KMeans(n_clusters=10),
    "k-means, pix": KMeans(n_clusters=10),
    "spectral": Spectral(n_clusters=10),
    "DSC-Net, fac": DSCNet(**SETTINGS),
    "DSC-Net, pix": DSCNet(**SETTINGS),
    "CMSC-DCCA": CMSCDCCA(**SETTINGS),
}
VIEWS = "fac,pix"
ROW_VIEWS = {row: row[-3:] for row in ROWS if ", " in row}
SEEDS = (0, 1, 2)

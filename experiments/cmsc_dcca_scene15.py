"""CMSC-DCCA on two views of Scene-15, 4,485 pictures in 15 classes, beside what sees one, or no graph.

    jaxdc run experiments/cmsc_dcca_scene15.py --data Scene-15.mat

The file: a cell X of three matrices, of which the first two are taken (20 and 59 features), and the classes Y.
"""

from jaxdc.methods import CMSCDCCA, DSCNet, KMeans, Spectral

SETTINGS = {"n_clusters": 15, "hidden": (512,), "latent": 128, "expression": 0.02, "subspace": 20, "power": 4.0}
ROWS = {
    "k-means": KMeans(n_clusters=15),
    "k-means, X0": KMeans(n_clusters=15),
    "k-means, X1": KMeans(n_clusters=15),
    "spectral": Spectral(n_clusters=15),
    "DSC-Net, X0": DSCNet(**SETTINGS),
    "DSC-Net, X1": DSCNet(**SETTINGS),
    "CMSC-DCCA": CMSCDCCA(**SETTINGS),
}
VIEWS = "X0,X1"
ROW_VIEWS = {row: row[-2:] for row in ROWS if ", " in row}
SEEDS = (0, 1, 2)

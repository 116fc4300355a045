"""CMSC-DCCA on two views of 2,000 handwritten digits (UCI multiple features), beside what sees one, or no graph.

    jaxdc run experiments/cmsc_dcca_mfeat.py --data mfeat.npz

The file: fac, 216 profile correlations, pix, 240 averages of 2 x 3 pixels, and label.

Recipe fast, seeds 0, 1, 2, all samples, scored on the same, two CPU cores beside other work:
k-means: ACC 0.7598 ± 0.0040, NMI 0.7699 ± 0.0021, ARI 0.6867 ± 0.0071, 1 s a seed;
k-means, fac: ACC 0.7305 ± 0.0107, NMI 0.7240 ± 0.0087, ARI 0.6249 ± 0.0129, 1 s;
k-means, pix: ACC 0.7640 ± 0.0280, NMI 0.7673 ± 0.0086, ARI 0.6848 ± 0.0240, 1 s;
spectral: ACC 0.9565, NMI 0.9111, ARI 0.9065 for each seed, 1 s;
DSC-Net, fac: ACC 0.8922 ± 0.0460, NMI 0.8577 ± 0.0134, ARI 0.8096 ± 0.0432, 12 s;
DSC-Net, pix: ACC 0.9487 ± 0.0076, NMI 0.8982 ± 0.0083, ARI 0.8896 ± 0.0163, 18 s;
CMSC-DCCA: ACC 0.9645 ± 0.0017, NMI 0.9200 ± 0.0029, ARI 0.9225 ± 0.0038, 25 s;
CMSC-DCCA without the correlation term: ACC 0.9668 ± 0.0010, NMI 0.9245 ± 0.0019, ARI 0.9276 ± 0.0020, 20 s.
The correlation of the views thus does nothing here: their expressions, fused, do all of it.
Rates, weights, widths and the graph were chosen for CMSC-DCCA on seed 100; DSC-Net has the same.
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
    "without correlation": CMSCDCCA(**SETTINGS, correlation=0.0),
    "CMSC-DCCA": CMSCDCCA(**SETTINGS),
}
VIEWS = "fac,pix"
ROW_VIEWS = {row: row[-3:] for row in ROWS if ", " in row}
SEEDS = (0, 1, 2)

"""CMSC-DCCA on two views of the same samples, beside what sees one view, or no graph.

    jaxdc run experiments/cmsc_dcca.py --on mfeat --data mfeat.npz
    jaxdc run experiments/cmsc_dcca.py --on scene15 --data Scene-15.mat

All samples, scored on the same.
"""

from jaxdc.experiment import Row, Table
from jaxdc.methods import CMSCDCCA, DSCNet, KMeans, Spectral

from .datasets import MFEAT, SCENE15


def beside(view1: str, view2: str, n_clusters: int, **settings) -> dict[str, Row]:
    """The rows that CMSC-DCCA is compared with, of both views and of each alone."""
    k_means, dsc_net = KMeans(n_clusters=n_clusters), DSCNet(n_clusters=n_clusters, **settings)
    return {
        "k-means": Row(k_means),
        f"k-means, {view1}": Row(k_means, views=view1),
        f"k-means, {view2}": Row(k_means, views=view2),
        "spectral": Row(Spectral(n_clusters=n_clusters)),
        f"DSC-Net, {view1}": Row(dsc_net, views=view1),
        f"DSC-Net, {view2}": Row(dsc_net, views=view2),
    }


OF_MFEAT = {"n_clusters": 10, "norm_weight": 0.72}
OF_SCENE15 = {"n_clusters": 15, "hidden": (512,), "latent": 128, "expression": 0.02, "subspace": 30, "power": 4.0}
TABLES = {
    "mfeat": Table(
        data=MFEAT,
        rows=beside("fac", "pix", **OF_MFEAT)
        | {
            "without correlation": Row(CMSCDCCA(**OF_MFEAT, correlation=0.0)),
            "CMSC-DCCA": Row(CMSCDCCA(**OF_MFEAT)),
        },
        views="fac,pix",
    ),
    "scene15": Table(
        data=SCENE15,
        rows=beside("X0", "X1", **OF_SCENE15) | {"CMSC-DCCA": Row(CMSCDCCA(**OF_SCENE15))},
        views="X0,X1",
    ),
}

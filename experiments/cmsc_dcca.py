"""CMSC-DCCA on two views of the same samples, beside what sees one view, or no graph.

    jaxdc run experiments/cmsc_dcca.py --on mfeat --data mfeat.npz
    jaxdc run experiments/cmsc_dcca.py --on scene15 --data Scene-15.mat
    jaxdc run experiments/cmsc_dcca.py --on mfeat_fou_kar --data mfeat.npz
    jaxdc run experiments/cmsc_dcca.py --on fashion_mnist --data-dir ~/tensorflow_datasets
    jaxdc run experiments/cmsc_dcca.py --on 20newsgroups --data-dir DIR

All samples, scored on the same. The settings of the first two sets were chosen for them; on the last three, which
nothing was chosen on, there are the defaults.
"""

from jaxdc.experiment import DataSet, Row, Table
from jaxdc.methods import CMSCDCCA, DSCNet, KMeans, Spectral

from .datasets import FASHION_DESCRIPTORS, MFEAT, NEWSGROUPS_SPACES, SCENE15


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


def unseen(data: DataSet, n_clusters: int, views: str, split: str = "all") -> Table:
    """CMSC-DCCA as it is by default, beside what sees both views side by side."""
    rows = {
        "k-means": Row(KMeans(n_clusters=n_clusters)),
        "spectral": Row(Spectral(n_clusters=n_clusters)),
        "CMSC-DCCA": Row(CMSCDCCA(n_clusters=n_clusters)),
    }
    return Table(data=data, rows=rows, views=views, split=split)


# Weights for the codes as they are, and the graph of DSC-Net.
CHOSEN = {"norm": "l1", "n_neighbors": None, "power": 4.0}
OF_MFEAT = {**CHOSEN, "n_clusters": 10, "expression": 0.01, "norm_weight": 0.72, "subspace": 12}
OF_SCENE15 = {
    **CHOSEN,
    "n_clusters": 15,
    "hidden": (512,),
    "latent": 128,
    "expression": 0.02,
    "norm_weight": 0.36,
    "subspace": 30,
}
TABLES = {
    "mfeat": Table(
        data=MFEAT,
        rows=beside("fac", "pix", **OF_MFEAT)
        | {
            "without correlation": Row(CMSCDCCA(**OF_MFEAT, correlation=0.0)),
            "CMSC-DCCA": Row(CMSCDCCA(**OF_MFEAT)),
            "defaults": Row(CMSCDCCA(n_clusters=10)),
        },
        views="fac,pix",
    ),
    "scene15": Table(
        data=SCENE15,
        rows=beside("X0", "X1", **OF_SCENE15)
        | {"CMSC-DCCA": Row(CMSCDCCA(**OF_SCENE15)), "defaults": Row(CMSCDCCA(n_clusters=15))},
        views="X0,X1",
    ),
    "mfeat_fou_kar": unseen(MFEAT, 10, "fou,kar"),
    "fashion_mnist": unseen(FASHION_DESCRIPTORS, 10, "pixels,hog"),
    "20newsgroups": unseen(NEWSGROUPS_SPACES, 20, "minilm,tfidf"),
}

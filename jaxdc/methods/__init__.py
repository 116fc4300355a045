"""The methods. One method is one room: a file with the paper's name on it.

``ALL`` maps the name on the command line to what makes the method, given ``n_clusters``.
"""

import functools
from collections.abc import Callable

from jaxdc.methods.autoencoder import AE as AE
from jaxdc.methods.autoencoder import VAE as VAE
from jaxdc.methods.base import DataSpec as DataSpec
from jaxdc.methods.base import Method as Method
from jaxdc.methods.cc import CC as CC
from jaxdc.methods.cmsc_dcca import CMSCDCCA as CMSCDCCA
from jaxdc.methods.dec import DEC as DEC
from jaxdc.methods.deepcluster import DeepCluster as DeepCluster
from jaxdc.methods.deepcluster_v2 import DeepClusterV2 as DeepClusterV2
from jaxdc.methods.dsc_net import DSCNet as DSCNet
from jaxdc.methods.idec import IDEC as IDEC
from jaxdc.methods.idfd import IDFD as IDFD
from jaxdc.methods.moco import MoCo as MoCo
from jaxdc.methods.pcl import PCL as PCL
from jaxdc.methods.scan import SCAN as SCAN
from jaxdc.methods.sccl import SCCL as SCCL
from jaxdc.methods.selflabel import SelfLabel as SelfLabel
from jaxdc.methods.shallow import Agglomerative as Agglomerative
from jaxdc.methods.shallow import KMeans as KMeans
from jaxdc.methods.shallow import NMFKMeans as NMFKMeans
from jaxdc.methods.shallow import PCAKMeans as PCAKMeans
from jaxdc.methods.shallow import Spectral as Spectral
from jaxdc.methods.simclr import SimCLR as SimCLR
from jaxdc.methods.temi import TEMI as TEMI

ALL: dict[str, Callable[..., Method]] = {
    "dec": DEC,
    "idec": IDEC,
    "simclr": SimCLR,
    "moco": MoCo,
    "pcl": PCL,
    "cc": CC,
    "idfd": IDFD,
    "idfo": functools.partial(IDFD, decorrelation="orthogonal", alpha=10.0),
    "id": functools.partial(IDFD, decorrelation="none"),
    "scan": SCAN,
    "selflabel": SelfLabel,
    "sccl": SCCL,
    "temi": TEMI,
    "deepcluster": DeepCluster,
    "deepcluster_v2": DeepClusterV2,
    "cmsc_dcca": CMSCDCCA,
    "dsc_net": DSCNet,
    "kmeans": KMeans,
    "spectral": Spectral,
    "agglomerative": Agglomerative,
    "nmf": NMFKMeans,
    "pca_kmeans": PCAKMeans,
    "ae_kmeans": AE,
    "dae_kmeans": functools.partial(AE, corruption=0.2),
    "vae_kmeans": VAE,
}

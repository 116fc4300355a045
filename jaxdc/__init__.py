"""Deep clustering in JAX.

    import jaxdc
    result = jaxdc.fit(jaxdc.DEC(n_clusters=10), x)
    result.labels

``jaxdc.losses``, ``jaxdc.cluster`` and ``jaxdc.metrics`` are libraries of their own; importing
``jaxdc`` alone loads none of them, and no Flax, Orbax or TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

from jaxdc.errors import InputError as InputError
from jaxdc.version import __version__ as __version__

if TYPE_CHECKING:
    from jaxdc.methods import AE as AE
    from jaxdc.methods import CC as CC
    from jaxdc.methods import CMSCDCCA as CMSCDCCA
    from jaxdc.methods import DEC as DEC
    from jaxdc.methods import IDEC as IDEC
    from jaxdc.methods import IDFD as IDFD
    from jaxdc.methods import PCL as PCL
    from jaxdc.methods import SCAN as SCAN
    from jaxdc.methods import SCCL as SCCL
    from jaxdc.methods import TEMI as TEMI
    from jaxdc.methods import VAE as VAE
    from jaxdc.methods import DeepCluster as DeepCluster
    from jaxdc.methods import DeepClusterV2 as DeepClusterV2
    from jaxdc.methods import DSCNet as DSCNet
    from jaxdc.methods import KMeans as KMeans
    from jaxdc.methods import MoCo as MoCo
    from jaxdc.methods import SelfLabel as SelfLabel
    from jaxdc.methods import SimCLR as SimCLR
    from jaxdc.stages import Experiment as Experiment
    from jaxdc.stages import Optimizer as Optimizer
    from jaxdc.stages import Stage as Stage
    from jaxdc.training import Result as Result
    from jaxdc.training import fit as fit
    from jaxdc.training import load as load

_METHODS = (
    *("AE", "CC", "CMSCDCCA", "DEC", "DSCNet", "DeepCluster", "DeepClusterV2", "IDEC", "IDFD", "KMeans"),
    *("MoCo", "PCL", "SCAN", "SCCL", "SelfLabel", "SimCLR", "TEMI", "VAE"),
)
_HOME = {
    **dict.fromkeys(_METHODS, "jaxdc.methods"),
    **dict.fromkeys(("Experiment", "Optimizer", "Stage"), "jaxdc.stages"),
    **dict.fromkeys(("Result", "fit", "load"), "jaxdc.training"),
}
_MODULES = (
    *("augment", "cluster", "data", "losses", "methods", "metrics", "nn", "probe", "sklearn", "training"),
    "workspaces",
)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"jaxdc.{name}")
    raise AttributeError(f"module 'jaxdc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_MODULES])

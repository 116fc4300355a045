"""The methods. One method is one room: a file with the paper's name on it.

``ALL`` maps the name on the command line to what makes the method, given ``n_clusters``.
"""

import functools
from collections.abc import Callable

from jaxdc.methods.autoencoder import AE as AE
from jaxdc.methods.autoencoder import VAE as VAE
from jaxdc.methods.base import DataSpec as DataSpec
from jaxdc.methods.base import Method as Method
from jaxdc.methods.dec import DEC as DEC
from jaxdc.methods.idec import IDEC as IDEC

ALL: dict[str, Callable[..., Method]] = {
    "dec": DEC,
    "idec": IDEC,
    "ae_kmeans": AE,
    "dae_kmeans": functools.partial(AE, corruption=0.2),
    "vae_kmeans": VAE,
}

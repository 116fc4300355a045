"""The peer's half of ``dec_vs_clustpy.py``; runs in an environment that has ClustPy and torch.

    python benchmarks/_clustpy_peer.py DATA.npz N_CLUSTERS PRETRAIN_EPOCHS CLUSTER_EPOCHS SEED

prints one line of JSON: the seconds of each phase, as ClustPy's own functions take them.
"""

import json
import sys
import time
from unittest import mock

import numpy as np
import torch

# ClustPy imports torchvision for its convolutional networks and data sets, of which nothing is used
# here, and torchvision has no build for the CPU build of torch.
for name in ("", ".transforms", ".models", ".models._api"):
    sys.modules.setdefault(f"torchvision{name}", mock.MagicMock())

from clustpy.deep import DEC  # noqa: E402
from clustpy.deep import dec as clustpy_dec  # noqa: E402
from clustpy.deep.neural_networks import FeedforwardAutoencoder  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402


def main(data, n_clusters, pretrain_epochs, cluster_epochs, seed):
    with np.load(data) as archive:
        x = archive["x"].reshape(len(archive["x"]), -1)
    x = x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1)
    torch.manual_seed(seed)
    seconds = {}

    def timed(owner, name, phase):
        function = getattr(owner, name)

        def wrapper(*args, **kwargs):
            start = time.perf_counter()
            out = function(*args, **kwargs)
            seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start
            return out

        return mock.patch.object(owner, name, wrapper)

    layers = [x.shape[1], 500, 500, 2000, 10]
    network = FeedforwardAutoencoder(layers, activation_fn=torch.nn.ReLU, random_state=seed)
    model = DEC(
        n_clusters,
        batch_size=256,
        pretrain_epochs=pretrain_epochs,
        clustering_epochs=cluster_epochs,
        neural_network=network,
        initial_clustering_class=KMeans,
        initial_clustering_params={"n_init": 20},
        device="cpu",
        random_state=seed,
    )
    with (
        timed(FeedforwardAutoencoder, "fit", "pretraining"),
        timed(KMeans, "fit", "k-means"),
        timed(clustpy_dec._DEC_Module, "fit", "clustering"),
    ):
        start = time.perf_counter()
        model.fit(x)
        seconds["whole run"] = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "labels": model.labels_.tolist(), "torch": torch.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:6]))

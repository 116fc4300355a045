"""Local Aggregation and k-means on its features.

    jaxdc run experiments/local_agg.py --on mnist --data-dir DIR
    jaxdc run experiments/local_agg.py --on cifar10 --data-dir DIR

Trained on the 50,000 images of the train split without labels and scored on them. No published figure of clusters
is at hand: the paper trains on ImageNet (60.2% linear, a ResNet-50). MNIST's test split is for one CPU core,
beside k-means on pixels.
"""

from jaxdc.augment import Digits, Weak
from jaxdc.experiment import Row, Table
from jaxdc.methods import KMeans, LocalAggregation
from jaxdc.methods.base import Schedule

from . import datasets

SMALL = LocalAggregation(
    n_clusters=10,
    backbone=datasets.CPU_RESNET,
    digits=Digits(size=20),
    n_clusterings=3,
)
LARGE = LocalAggregation(
    n_clusters=10,
    backbone=datasets.RESNET18,
    augmentation=Weak(jitter=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0, **datasets.CIFAR10.colours),
)
TABLES = {
    "mnist": Table(
        data=datasets.MNIST,
        rows={
            "k-means": Row(KMeans(n_clusters=10)),
            "Local Aggregation": Row(SMALL, schedule=Schedule(epochs=40, batch_size=128)),
        },
        seeds=(0, 1, 2),
        split="test",
    ),
    "cifar10": Table(data=datasets.CIFAR10, rows={"Local Aggregation": Row(LARGE)}, split="train"),
}

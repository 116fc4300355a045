"""ProPos: BYOL whose clusters repel each other.

    jaxdc run experiments/propos.py --on mnist --data-dir DIR
    jaxdc run experiments/propos.py --on cifar10 --data-dir DIR --recipe paper --batch-size 512
    jaxdc run experiments/propos.py --on stl10 --data-dir DIR --recipe paper

Protocol of the paper: a ResNet-34, 1,000 epochs, train and test split trained on and scored together. On CIFAR-10
batches are of 512 and the momentum stays at 0.996; on the others batches are of 256, and it rises to 1; epochs
of CIFAR-100 are drawn uniformly over the clusters. MNIST's test split, in no paper, is for one CPU core, beside
k-means on pixels.
"""

from jaxdc.augment import Digits, Weak
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import KMeans, ProPos
from jaxdc.methods.base import Schedule

from . import datasets

SMALL = ProPos(
    n_clusters=10,
    backbone=datasets.CPU_RESNET,
    digits=Digits(size=20),
    hidden=256,
    projection=64,
    momentum=0.99,
)


def photographs(data: DataSet, scores: tuple[float, float, float], **settings: bool) -> Table:
    """Views of the data set's colours, and the published figures."""
    views = Weak(crop=(0.08, 1.0), **data.colours)
    method = ProPos(n_clusters=data.n_classes, backbone=datasets.RESNET18, augmentation=views, **settings)
    acc, nmi, ari = scores
    published = Published(acc=acc, nmi=nmi, ari=ari, source="Huang et al., 2022", protocol="ResNet-34")
    return Table(data=data, rows={"ProPos": Row(method, published)})


TABLES = {
    "mnist": Table(
        data=datasets.MNIST,
        rows={
            "k-means": Row(KMeans(n_clusters=10)),
            "ProPos": Row(SMALL, schedule=Schedule(epochs=25, batch_size=128, learning_rate=0.1)),
        },
        seeds=(0, 1, 2),
        split="test",
    ),
    "cifar10": photographs(datasets.CIFAR10, (0.943, 0.886, 0.884), rising=False),
    "cifar100_20": photographs(datasets.CIFAR100_20, (0.614, 0.606, 0.451), uniform=True),
    "stl10": photographs(datasets.STL10, (0.867, 0.758, 0.737)),
}

"""SimCLR and k-means on its features, with the settings of SCAN's pretext.

    jaxdc run experiments/simclr.py --on cifar10 --data-dir DIR
    jaxdc run experiments/simclr.py --on cifar10 --data cifar10_jpeg.npz
    jaxdc run experiments/simclr.py --on imagenet10 --data FOLDER

Trained without labels and scored on the same images: of CIFAR the 50,000 of the train split, of the others all
(STL-10: train and test split merged, 13,000; ImageNet's brought to 96 pixels, Tiny-ImageNet's to 64). The
published models of CIFAR were trained on the same and scored on the test split. On CIFAR-10 k-means clusters
the 128-dimensional output of the projection, as SCAN's author does; --recipe pretext trains for its 500 epochs.
digits, in no paper, is for two CPU cores.
"""

from jaxdc.augment import Weak
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import SimCLR

from . import datasets

ROW = "SimCLR + k-means"


def table(data: DataSet, theirs: Published | None = None, split: str = "all", **settings) -> Table:
    """SimCLR with views of the data set's colours."""
    method = SimCLR(
        n_clusters=data.n_classes,
        backbone=datasets.RESNET18,
        augmentation=Weak(**data.colours),
        temperature=0.1,
        anchors="first",
        **settings,
    )
    return Table(data=data, rows={ROW: Row(method, theirs)}, split=split)


def published(acc: float, nmi: float, ari: float) -> Published:
    """Of SCAN's paper, which has SimCLR + k-means."""
    protocol = "scored on the test split"
    return Published(acc=acc, nmi=nmi, ari=ari, source="Van Gansbeke et al., 2020", protocol=protocol)


SMALL = SimCLR(
    n_clusters=10,
    backbone=datasets.RESNET10,
    augmentation=datasets.DIGITS_VIEWS,
    temperature=0.2,
)
TABLES = {
    "digits": Table(data=datasets.DIGITS, rows={ROW: Row(SMALL)}, seeds=(10, 11, 12)),
    "cifar10": table(datasets.CIFAR10, published(0.659, 0.598, 0.509), split="train", embedding="z"),
    "cifar100_20": table(datasets.CIFAR100_20, published(0.395, 0.402, 0.239), split="train"),
    "stl10": table(datasets.STL10),
    "imagenet10": table(datasets.IMAGENET10),
    "imagenet_dogs": table(datasets.IMAGENET_DOGS),
    "tiny_imagenet": table(datasets.TINY_IMAGENET),
}

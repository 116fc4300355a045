"""Contrastive Clustering, with its ablations of the two heads and of the views on CIFAR-10.

    jaxdc run experiments/cc.py --on digits
    jaxdc run experiments/cc.py --on cifar10 --data-dir DIR --rows "batch 512"
    jaxdc run experiments/cc.py --on stl10 --data-dir DIR --resident-gib 4
    jaxdc run experiments/cc.py --on imagenet10 --data FOLDER

Protocol of the paper: all images (train and test split merged), trained on them without labels and scored on
them. On STL-10 the instance head also learns from the 100,000 unlabelled images, 3 GiB; the 13,000 others are
scored.

The paper resizes to 224 pixels and trains a ResNet-34 with Adam and batches of 256 (--recipe paper; where
images are given by folder, --image-size 224); fast keeps the pixels of CIFAR and STL-10 and takes 96 of
ImageNet's (64 of Tiny-ImageNet's), and trains a ResNet-18 with the optimizer of SCAN's pretext, whose rate goes
with the batch. Without the cluster head, k-means clusters the features. digits, in no paper, is for two CPU
cores.
"""

from jaxdc.augment import Weak
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import CC
from jaxdc.methods.base import Schedule

from . import datasets

SOURCE = "Li et al., 2021"
CROPPED = Weak(crop=(0.08, 1.0), jitter=(0.8, 0.8, 0.8, 0.2), blur_probability=0.5)


def published(acc: float, nmi: float | None = None, ari: float | None = None, protocol: str = "") -> Published:
    """Of the paper."""
    return Published(acc=acc, nmi=nmi, ari=ari, source=SOURCE, protocol=protocol)


def table(data: DataSet, theirs: Published, split: str = "all", **settings) -> Table:
    """The paper's row of a data set."""
    method = CC(n_clusters=data.n_classes, backbone=datasets.RESNET18, **settings)
    return Table(data=data, rows={"CC": Row(method, theirs)}, split=split)


def cifar10(**settings) -> CC:
    """With settings of the ablations."""
    return CC(n_clusters=10, backbone=datasets.RESNET18, **settings)


WHOLE = published(0.790, 0.705, 0.637)
TABLES = {
    "digits": Table(
        data=datasets.DIGITS,
        rows={"CC": Row(CC(n_clusters=10, backbone=datasets.RESNET10, augmentation=datasets.DIGITS_VIEWS))},
        seeds=(10, 11, 12),
    ),
    "cifar10": Table(
        data=datasets.CIFAR10,
        rows={
            "batch 512": Row(cifar10()),
            "batch 256": Row(
                cifar10(), published(0.790, 0.705, 0.637, "224 pixels"), schedule=Schedule(batch_size=256)
            ),
        },
    ),
    "cifar10_heads": Table(
        data=datasets.CIFAR10,
        rows={
            "both heads": Row(cifar10(), WHOLE),
            "instance head alone": Row(cifar10(heads="instance"), published(0.782)),
            "cluster head alone": Row(cifar10(heads="cluster"), published(0.657)),
        },
    ),
    "cifar10_views": Table(
        data=datasets.CIFAR10,
        rows={
            "both views": Row(cifar10(), WHOLE),
            "one view": Row(cifar10(augmented="one"), published(0.690)),
            "no view": Row(cifar10(augmented="none"), published(0.169)),
        },
    ),
    "cifar100_20": table(datasets.CIFAR100_20, published(0.429, 0.431, 0.266)),
    "stl10": table(
        datasets.STL10,
        published(0.850, 0.764, 0.726),
        split="all+unlabelled",
        augmentation=Weak(crop=(0.08, 1.0), jitter=(0.8, 0.8, 0.8, 0.2)),
        n_clustered=13_000,
    ),
    "imagenet10": table(datasets.IMAGENET10, published(0.893, 0.859, 0.822), augmentation=CROPPED),
    "imagenet_dogs": table(datasets.IMAGENET_DOGS, published(0.429, 0.445, 0.274), augmentation=CROPPED),
    "tiny_imagenet": table(datasets.TINY_IMAGENET, published(0.140, 0.340, 0.071)),
}

"""SCAN and its self-labelling; on ImageNet its clustering step alone.

    jaxdc run experiments/scan.py --on cifar10 --data-dir DIR
    jaxdc run experiments/scan.py --on cifar10 --data cifar10_jpeg.npz
    jaxdc run experiments/scan.py --on imagenet50 --data FOLDER

Protocol of the paper: trained on the train split without labels (CIFAR: 50,000 images), scored on the test
split. On STL-10 the pretext is trained on the train split and the 100,000 unlabelled images, the clustering on
the 5,000 of the train split. Each row begins with the run of the one before it, or of the pretext, whose
128-dimensional output is what k-means clusters in its row, as its author did. With more clusters than classes
the figure to compare is the purity: each cluster counts for its commonest class. With --recipe paper the
pretext is SCAN's own: 500 epochs of SGD. On CIFAR-100 the clustering is trained for 100 epochs with batches of
512, the paper's setting for this set, under every recipe.

ImageNet: as in the paper the pretext is MoCo, the heads alone are trained on its ResNet-50, ten of them, for
100 epochs with batches of 512, and the one of the lowest loss is kept. Trained on the images without labels and
scored on them (the paper scores on the validation images). On several hosts: docs/many-devices.md.
"""

from collections.abc import Mapping
from typing import Any

from jaxdc.augment import Strong, Weak
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import SCAN, MoCo, SelfLabel, SimCLR
from jaxdc.methods.base import Schedule

from . import datasets

PRETEXT = "SimCLR + k-means"
LONG = Schedule(epochs=100, batch_size=512)


def published(protocol: str = "", **scores: float) -> Published:
    """Of the paper."""
    return Published(**scores, source="Van Gansbeke et al., 2020", protocol=protocol)


def table(
    data: DataSet,
    theirs: Mapping[str, Published],
    *,
    split: str = "train",
    over: int | None = None,
    schedule: Schedule | None = None,
    **strong: Any,
) -> Table:
    """Pretext, clustering and self-labelling, the last two also with ``over`` clusters."""
    shared = {"n_clusters": data.n_classes, "backbone": datasets.RESNET18}
    pretext = SimCLR(**shared, augmentation=Weak(**data.colours), temperature=0.1, anchors="first", embedding="z")
    rows = {PRETEXT: Row(pretext, theirs.get(PRETEXT), recipes={"paper": "pretext", "lecture": "pretext"})}
    views = Strong(**strong, **data.colours)
    for suffix, settings in (("", {}), (f", {over} clusters", {"n_clusters": over})):
        if settings and over is None:
            continue
        scan, selflabel = f"clustering{suffix}", f"self-labelling{suffix}"
        with_heads = {**shared, **settings, "augmentation": views}
        rows[scan] = Row(SCAN(**with_heads), theirs.get(scan), init_from=PRETEXT, schedule=schedule)
        rows[selflabel] = Row(SelfLabel(**with_heads), theirs.get(selflabel), init_from=scan)
    return Table(data=data, rows=rows, split=split, test_split="test")


def imagenet(data: DataSet) -> Table:
    """Heads alone on a pretext's features."""
    shared = {"n_clusters": data.n_classes, "backbone": datasets.RESNET50}
    scan = SCAN(**shared, augmentation=Strong(crop=(0.2, 1.0)), n_neighbors=50, n_heads=10, frozen=True)
    rows = {
        "MoCo + k-means": Row(MoCo(**shared)),
        "clustering": Row(scan, init_from="MoCo + k-means", schedule=LONG),
    }
    return Table(data=data, rows=rows)


TEN, BEST = "mean of ten runs", "best of ten runs"
TABLES = {
    "cifar10": table(
        datasets.CIFAR10,
        {
            PRETEXT: published(acc=0.659, nmi=0.598, ari=0.509),
            "clustering": published(TEN, acc=0.818, nmi=0.712, ari=0.665),
            "self-labelling": published(TEN, acc=0.876, nmi=0.787, ari=0.758),
            "self-labelling, 20 clusters": published(TEN, purity=0.862, nmi=0.771, ari=0.738),
        },
        over=20,
    ),
    "cifar100_20": table(
        datasets.CIFAR100_20,
        {
            PRETEXT: published(acc=0.395, nmi=0.402, ari=0.239),
            "clustering": published(TEN, acc=0.422, nmi=0.441, ari=0.267),
            "self-labelling": published(TEN, acc=0.459, nmi=0.468, ari=0.301),
            "self-labelling, 200 clusters": published(TEN, purity=0.551, nmi=0.500, ari=0.357),
        },
        over=200,
        schedule=LONG,
    ),
    "stl10": table(
        datasets.STL10,
        {
            "clustering": published(BEST, acc=0.792, nmi=0.673, ari=0.618),
            "self-labelling": published(BEST, acc=0.809, nmi=0.698, ari=0.646),
        },
        split="train+unlabelled",
        cutout=(1, 32),
    ),
    "imagenet50": imagenet(datasets.IMAGENET50),
    "imagenet100": imagenet(datasets.IMAGENET100),
    "imagenet200": imagenet(datasets.IMAGENET200),
}

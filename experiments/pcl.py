"""PCL and k-means on its features; on the whole of ImageNet for its linear probe.

    jaxdc run experiments/pcl.py --on cifar10 --data-dir DIR
    jaxdc run experiments/pcl.py --on stl10 --data-dir DIR --resident-gib 4
    jaxdc run experiments/pcl.py --on imagenet10 --data FOLDER

PCL's paper has no such rows: the published figures are a later comparison's own training. Of CIFAR-10 its
protocol is ours (60,000 images, train and test split merged), with 1,000 epochs, a momentum of 0.99, and a
symmetric loss, in which each view is once the query and once the key; fast has that momentum, 450 epochs, and
no symmetric loss. Of the others it is not at hand. Here they are trained without labels and scored on the same
images: of CIFAR-100 the train split; of STL-10 train and test split (13,000), with the 100,000 unlabelled ones
(3 GiB) to learn from; of the folders all, brought to 96 pixels (Tiny-ImageNet: 64). There are 300, 600 and
1,200 prototypes for CIFAR-10, the paper's shares of its images, 250, 500 and 1,000 for CIFAR-100, and 65, 130
and 260, 97, 195 and 390, or 500, 1,000 and 2,000 for ImageNet-10, -Dogs and Tiny-ImageNet.

ImageNet: the same command on every host, as docs/many-devices.md has it.

    jaxdc run experiments/pcl.py --on imagenet --seeds 0 --data-dir DIR --workdir SHARED                   # v2
    jaxdc run experiments/pcl.py --on imagenet --seeds 0 --data-dir DIR --workdir SHARED --recipe paper    # v1
    jaxdc probe SHARED/pcl_imagenet-PCL-paper_v2-0 --data imagenet2012 --data-dir DIR --test-split validation

Published (Li et al., 2021): top-1 accuracy of a linear classifier on frozen features of a ResNet-50 after 200
epochs at 224 pixels, trained on the train split and tested on the validation split: 61.5 (v1), 67.6 (v2). It
stands beside ``linear_accuracy`` of the probe. Nothing is published for ``knn_accuracy``, nor for the table of
this file, whose ACC, NMI and ARI are of 1,000 clusters of the train split. Protocol: trained on the train split
without labels.

25,000, 50,000 and 100,000 prototypes, 16,384 negatives of both kinds (of the queue, and prototypes). Differs
from the paper in: images are brought to 256 pixels as they are read, and views of 224 are cut from these; the
features that are probed are those of the momentum encoder, of the whole square. The 1,000 clusters of the table
are made of the first 50,000 images. A refresh holds features of 1,281,167 x 2,048, which are 9.8 GiB, on every
device.
"""

from jaxdc.augment import Weak
from jaxdc.experiment import DataSet, Published, Row, Table
from jaxdc.methods import PCL

from . import datasets


def table(data: DataSet, theirs: Published | None = None, split: str = "all", **settings) -> Table:
    """PCL with views of the data set's colours."""
    method = PCL(
        n_clusters=data.n_classes,
        backbone=datasets.RESNET18,
        augmentation=Weak(**data.colours),
        **settings,
    )
    return Table(data=data, rows={"PCL": Row(method, theirs)}, split=split)


COMPARISON = "a later comparison's own training"
WHOLE_IMAGENET = PCL(
    n_clusters=1000,
    backbone=datasets.RESNET50,
    augmentation=Weak(size=224, **datasets.IMAGENET.colours),
    n_prototypes=(25_000, 50_000, 100_000),
    n_negative_prototypes=16_384,
    n_clustered=50_000,
    n_init=1,
)
TABLES = {
    "cifar10": table(
        datasets.CIFAR10,
        Published(acc=0.874, nmi=0.802, ari=0.766, source=COMPARISON, protocol="1,000 epochs"),
    ),
    "cifar100_20": table(
        datasets.CIFAR100_20, Published(acc=0.526, nmi=0.528, ari=0.363, source=COMPARISON), split="train"
    ),
    "stl10": table(
        datasets.STL10,
        Published(nmi=0.718, ari=0.670, source=COMPARISON),
        split="all+unlabelled",
        n_clustered=13_000,
    ),
    "imagenet10": table(datasets.IMAGENET10),
    "imagenet_dogs": table(datasets.IMAGENET_DOGS),
    "tiny_imagenet": table(datasets.TINY_IMAGENET),
    "imagenet": Table(data=datasets.IMAGENET, rows={"PCL": Row(WHOLE_IMAGENET)}, split="train", recipe="paper_v2"),
}

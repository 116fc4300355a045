"""PCL on ImageNet, for its linear probe: the same command on every host, as docs/many-devices.md has it.

    jaxdc run experiments/pcl_imagenet.py --seeds 0 --data-dir DIR --workdir SHARED                   # v2
    jaxdc run experiments/pcl_imagenet.py --seeds 0 --data-dir DIR --workdir SHARED --recipe paper    # v1
    jaxdc probe SHARED/pcl_imagenet-paper_v2-0 --data imagenet2012 --data-dir DIR --test-split validation

Not run. Published (Li et al., 2021): top-1 accuracy of a linear classifier on frozen features of a ResNet-50
after 200 epochs at 224 pixels, trained on the train split and tested on the validation split: 61.5 (v1), 67.6
(v2). It stands beside ``linear_accuracy`` of the probe. Nothing is published for ``knn_accuracy``, nor for the
table of this file, whose ACC, NMI and ARI are of 1,000 clusters of the train split. Protocol: trained on the
train split without labels.

25,000, 50,000 and 100,000 prototypes, 16,384 negatives of both kinds (of the queue, and prototypes). Differs from
the paper in: images are brought to 256 pixels as they are read, and views of 224 are cut from these; the features
that are probed are those of the momentum encoder, of the whole square. The 1,000 clusters of the table are made of
the first 50,000 images. A refresh holds features of 1,281,167 x 2,048, which are 9.8 GiB, on every device.
"""

from jaxdc.augment import Weak
from jaxdc.methods import PCL
from jaxdc.nn import Backbone

METHOD = PCL(
    n_clusters=1000,
    backbone=Backbone(depth=50, stem="imagenet", dtype="bfloat16"),
    augmentation=Weak(size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    n_prototypes=(25_000, 50_000, 100_000),
    n_negative_prototypes=16_384,
    n_clustered=50_000,
    n_init=1,
)
DATA = "imagenet2012"
SPLIT = "train"
IMAGE_SIZE = 256
RECIPE = "paper_v2"
SEEDS = (0, 1, 2)

"""RotNet, and SCAN with it as the pretext.

    jaxdc run experiments/rotnet.py --data-dir DIR

CIFAR-10 as in ``scan.py``: trained on the train split without labels, scored on the test split. The first row is
k-means on the features of the pretext, with which the second begins; no published figure is known to us.
"""

from jaxdc.augment import Strong
from jaxdc.experiment import Row, Table
from jaxdc.methods import SCAN, RotNet

from . import datasets

SHARED = {"n_clusters": 10, "backbone": datasets.RESNET18}
VIEWS = Strong(**datasets.CIFAR10.colours)
TABLES = {
    "cifar10": Table(
        data=datasets.CIFAR10,
        rows={
            "RotNet + k-means": Row(RotNet(**SHARED, augmentation=VIEWS.of_pretext)),
            "clustering": Row(SCAN(**SHARED, augmentation=VIEWS, pretext="rotnet"), init_from="RotNet + k-means"),
        },
        split="train",
        test_split="test",
    ),
}

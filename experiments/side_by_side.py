"""The methods that learn from views of images, side by side: the same images, the same small network, one length.

    jaxdc run experiments/side_by_side.py --data-dir DIR
    jaxdc run experiments/side_by_side.py --data-dir DIR --rows SimCLR SCAN --seeds 0

MNIST's test split, 10,000 images at 16 x 16 pixels, trained on without labels and scored; a ResNet-10 of width 8,
on which two CPU cores train a row in minutes. The table, which is in no paper, shows that a method learns and what
that costs; on photographs, with larger networks and longer runs, the order may differ. SCAN begins with SimCLR's
run, and self-labelling with SCAN's. No view is mirrored. Other methods have the same images in files of their own:
DAC, IIC, PICA, ADC, DCCM, JULE, TSUC, RUC and SeLa at 16 x 16, BYOL, ProPos and SwAV at 28 x 28.
"""

from jaxdc import methods
from jaxdc.augment import Strong
from jaxdc.experiment import Row, Table
from jaxdc.methods.base import Schedule

from . import datasets

SHARED = {"n_clusters": 10, "backbone": datasets.NARROW}
VIEWS = {**SHARED, "augmentation": datasets.DIGITS_VIEWS}
STRONG = {**SHARED, "augmentation": Strong(crop=(0.4, 1.0), flip=False, cutout=(1, 6))}
MANY = {**VIEWS, "n_pseudo_clusters": 100}
METHODS = {
    "SimCLR": methods.SimCLR(**VIEWS, temperature=0.2),
    "MoCo": methods.MoCo(**VIEWS),
    "CC": methods.CC(**VIEWS),
    "IDFD": methods.IDFD(**VIEWS, temperature=0.2),
    "PCL": methods.PCL(**VIEWS),
    "DeepCluster": methods.DeepCluster(**MANY),
    "DeepCluster-v2": methods.DeepClusterV2(**MANY),
    "Local Aggregation": methods.LocalAggregation(**SHARED, n_clusterings=3),
    "RotNet": methods.RotNet(**VIEWS),
    "SCAN": methods.SCAN(**STRONG),
    "self-labelling": methods.SelfLabel(**STRONG, weak=datasets.DIGITS_VIEWS),
}
STARTS = {"SCAN": "SimCLR", "self-labelling": "SCAN"}  # with whose run a row begins
LENGTH = Schedule(epochs=25, batch_size=128)

TABLES = {
    "mnist_test": Table(
        data=datasets.MNIST_16,
        split="test",
        rows={"k-means": Row(methods.KMeans(n_clusters=10))}
        | {name: Row(method, init_from=STARTS.get(name), schedule=LENGTH) for name, method in METHODS.items()},
    )
}

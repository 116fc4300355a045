"""MoCo v2 and k-means on its features.

    jaxdc run experiments/moco.py --data-dir DIR
    jaxdc run experiments/moco.py --data cifar10_jpeg.npz

Trained on the 50,000 images of the train split without labels and scored on them. No published figure is at
hand: the paper trains on ImageNet.
"""

from jaxdc.augment import Weak
from jaxdc.experiment import Row, Table
from jaxdc.methods import MoCo

from .datasets import CIFAR10, RESNET18

METHOD = MoCo(n_clusters=10, backbone=RESNET18, augmentation=Weak(**CIFAR10.colours))
TABLES = {"cifar10": Table(data=CIFAR10, rows={"MoCo": Row(METHOD)}, split="train")}

"""Autoencoders and k-means on their codes: the baselines of the tables.

    jaxdc run experiments/autoencoders.py

All 1,797 images of digits, scored on the same images.
"""

from jaxdc.experiment import Row, Table
from jaxdc.methods import AE, VAE

from .datasets import DIGITS

TABLES = {
    "digits": Table(
        data=DIGITS,
        rows={
            "AE": Row(AE(n_clusters=10)),
            "denoising AE": Row(AE(n_clusters=10, corruption=0.2)),
            "VAE": Row(VAE(n_clusters=10)),
        },
        seeds=(10, 11, 12, 13, 14),
    ),
}

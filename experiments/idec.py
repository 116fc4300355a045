"""IDEC, and DEC beside it, from the same pre-training: all 70,000 images, scored on the same images.

jaxdc run experiments/idec.py --on mnist --data-dir DIR
"""

from jaxdc.experiment import Published, Row, Table
from jaxdc.methods import AE, DEC, IDEC

from .datasets import MNIST

PRETRAINED = "AE, k-means"  # what DEC and IDEC would begin with
TABLES = {
    "mnist": Table(
        data=MNIST,
        rows={
            PRETRAINED: Row(AE(n_clusters=10, corruption=0.2)),
            "DEC": Row(DEC(n_clusters=10), Published(acc=0.8430, source="Xie et al., 2016"), init_from=PRETRAINED),
            "IDEC": Row(
                IDEC(n_clusters=10),
                Published(acc=0.8806, nmi=0.8672, source="Guo et al., 2017"),
                init_from=PRETRAINED,
            ),
        },
        seeds=(23, 24, 25),
        recipe="long",
    ),
}

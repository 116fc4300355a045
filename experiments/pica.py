"""PICA: the columns of two views' assignments shall match one to one.

    jaxdc run experiments/pica.py --on digits
    jaxdc run experiments/pica.py --on mnist_test --data-dir DIR
    jaxdc run experiments/pica.py --on cifar10 --data-dir DIR

On CIFAR-10 all 60,000 images are trained on and scored, as in the paper, whose mean is given. digits, in no paper,
is for two CPU cores; its network, views and length are those of ``iic.py``, untuned for PICA.
"""

from jaxdc.experiment import Published
from jaxdc.methods import PICA

from .iic import tables

TABLES = tables(PICA, Published(acc=0.645, nmi=0.561, ari=0.467, source="Huang et al., 2020"))

"""DEC with augmented images (DEC-DA) on scikit-learn's digits, scored on the same images.

    jaxdc run experiments/dec_da_digits.py

EXPECTED
"""

from jaxdc.methods import DEC

METHOD = DEC(n_clusters=10, augment=True)
DATA = "digits"
SEEDS = (0, 1, 2, 3, 4)

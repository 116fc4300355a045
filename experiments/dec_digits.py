"""DEC on scikit-learn's digits, the README's quick start: all 1,797 images, scored on the same images.

    jaxdc run experiments/dec_digits.py

EXPECTED
"""

from jaxdc.methods import DEC

METHOD = DEC(n_clusters=10)
DATA = "digits"
SEEDS = (0, 1, 2, 3, 4)

"""DAC on scikit-learn's handwritten digits: all 1,797 images of 8 x 8, scored on the same images.

    jaxdc run experiments/dac_digits.py

A narrow ResNet-10, for two cores; no paper has such a row. Not run.
"""

from jaxdc.methods import DAC
from jaxdc.methods.base import Schedule
from jaxdc.nn import Backbone

SHARED = {"n_clusters": 10, "backbone": Backbone(depth=10, width=16)}
ROWS = {"two thresholds": DAC(**SHARED), "all pairs": DAC(**SHARED, selection="all", upper=0.9)}
SCHEDULES = dict.fromkeys(ROWS, Schedule(epochs=20.0))
DATA = "digits"
SEEDS = (0, 1, 2)

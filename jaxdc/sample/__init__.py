"""Draws new samples of the clusters of a run, if its method can."""

from jaxdc.sample.run import picture_grid as picture_grid
from jaxdc.sample.run import sample_run as sample_run

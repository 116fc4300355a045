"""A run on one page: what it was, its scores and curves, its clusters, their members, a map of the embedding."""

from jaxdc.report.page import page as page
from jaxdc.report.run import Run as Run

"""A run on one page: settings, scores, curves, clusters with their members, and a map of the embedding."""

from jaxdc.report.contents import Run as Run
from jaxdc.report.page import page as page

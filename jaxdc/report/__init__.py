"""A run on one page: what it was, its scores and curves, its clusters, their members, a map of the embedding."""

from jaxdc.report.contents import Run as Run
from jaxdc.report.page import page as page

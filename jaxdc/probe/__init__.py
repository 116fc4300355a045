"""Measures features with a linear and a nearest-neighbour classifier."""

from jaxdc.probe.classifiers import KNNProbe as KNNProbe
from jaxdc.probe.classifiers import LinearProbe as LinearProbe
from jaxdc.probe.classifiers import check_settings as check_settings
from jaxdc.probe.classifiers import knn_probe as knn_probe
from jaxdc.probe.classifiers import linear_probe as linear_probe
from jaxdc.probe.classifiers import stratified_half as stratified_half

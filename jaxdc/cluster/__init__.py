"""Classical clustering algorithms as jitted functions of arrays; importing it loads JAX alone."""

from jaxdc.cluster.kmeans import KMeansResult as KMeansResult
from jaxdc.cluster.kmeans import k_means as k_means
from jaxdc.cluster.kmeans import nearest_centroid as nearest_centroid

"""Sources of samples, which share one small interface. Texts are in the subpackage ``text``.

Only ``tfds.py`` imports TensorFlow, and only when it is used.
"""

from jaxdc.data.graphs import GraphSource as GraphSource
from jaxdc.data.open import open_source as open_source
from jaxdc.data.open import split_names as split_names
from jaxdc.data.sources import ArraySource as ArraySource
from jaxdc.data.sources import FirstSamples as FirstSamples
from jaxdc.data.sources import Source as Source
from jaxdc.data.sources import StandardizedSource as StandardizedSource
from jaxdc.data.views import ViewsSource as ViewsSource
from jaxdc.data.views import only_views as only_views

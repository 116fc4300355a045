"""Where samples come from: sources that share one small interface.

Only ``tfds.py`` and ``streaming.py`` import TensorFlow, and only when they are used.
"""

from jaxdc.data.sources import ArraySource as ArraySource
from jaxdc.data.sources import Source as Source

"""Image augmentation on the device, batched and per sample.

Each operation is a random draw (``random_*``) plus a deterministic function of what was drawn.
Images are float ``[b, height, width, channels]``.
"""

from jaxdc.augment.affine import random_rotate_shift as random_rotate_shift
from jaxdc.augment.affine import rotate_shift as rotate_shift

"""Image augmentation on the device, batched and per sample.

Images are float ``[b, height, width, channels]`` in [0, 1], with 1 or 3 channels. Each operation is a random
draw (``random_*``, one draw per image) followed by a deterministic function of the draw. Nothing waits
for the host, and shapes never depend on a draw, so everything can run inside a jitted step. A batch that is
sharded over devices is augmented in place. Importing this package loads only JAX.

``Original``, ``Weak``, ``Strong``, ``Digits``, ``Shifted`` and ``Spectrogram`` put the operations together.
"""

from jaxdc.augment.affine import random_rotate_shift as random_rotate_shift
from jaxdc.augment.affine import rotate_shift as rotate_shift
from jaxdc.augment.color import brightness as brightness
from jaxdc.augment.color import color_jitter as color_jitter
from jaxdc.augment.color import contrast as contrast
from jaxdc.augment.color import greyscale as greyscale
from jaxdc.augment.color import hue as hue
from jaxdc.augment.color import random_brightness as random_brightness
from jaxdc.augment.color import random_color_jitter as random_color_jitter
from jaxdc.augment.color import random_contrast as random_contrast
from jaxdc.augment.color import random_greyscale as random_greyscale
from jaxdc.augment.color import random_hue as random_hue
from jaxdc.augment.color import random_saturation as random_saturation
from jaxdc.augment.color import saturation as saturation
from jaxdc.augment.filters import cutout as cutout
from jaxdc.augment.filters import gaussian_blur as gaussian_blur
from jaxdc.augment.filters import random_cutout as random_cutout
from jaxdc.augment.filters import random_gaussian_blur as random_gaussian_blur
from jaxdc.augment.filters import random_sharpness as random_sharpness
from jaxdc.augment.filters import sharpness as sharpness
from jaxdc.augment.filters import sobel as sobel
from jaxdc.augment.geometry import crop as crop
from jaxdc.augment.geometry import flip_horizontal as flip_horizontal
from jaxdc.augment.geometry import flip_vertical as flip_vertical
from jaxdc.augment.geometry import random_crop as random_crop
from jaxdc.augment.geometry import random_flip_horizontal as random_flip_horizontal
from jaxdc.augment.geometry import random_flip_vertical as random_flip_vertical
from jaxdc.augment.geometry import random_resized_crop as random_resized_crop
from jaxdc.augment.geometry import resized_crop as resized_crop
from jaxdc.augment.pool import POOL as POOL
from jaxdc.augment.pool import pool_operation as pool_operation
from jaxdc.augment.pool import random_pool_operations as random_pool_operations
from jaxdc.augment.presets import Digits as Digits
from jaxdc.augment.presets import Original as Original
from jaxdc.augment.presets import Shifted as Shifted
from jaxdc.augment.presets import Strong as Strong
from jaxdc.augment.presets import Weak as Weak
from jaxdc.augment.presets import normalize as normalize
from jaxdc.augment.spectrogram import Spectrogram as Spectrogram
from jaxdc.augment.spectrogram import masked as masked
from jaxdc.augment.spectrogram import moved as moved
from jaxdc.augment.tone import autocontrast as autocontrast
from jaxdc.augment.tone import equalize as equalize
from jaxdc.augment.tone import invert as invert
from jaxdc.augment.tone import posterize as posterize
from jaxdc.augment.tone import random_autocontrast as random_autocontrast
from jaxdc.augment.tone import random_equalize as random_equalize
from jaxdc.augment.tone import random_invert as random_invert
from jaxdc.augment.tone import random_posterize as random_posterize
from jaxdc.augment.tone import random_solarize as random_solarize
from jaxdc.augment.tone import solarize as solarize
from jaxdc.augment.views import Augmentation as Augmentation
from jaxdc.augment.views import Expanded as Expanded
from jaxdc.augment.views import expand as expand
from jaxdc.augment.views import mix_up as mix_up
from jaxdc.augment.views import two_views as two_views
from jaxdc.augment.warp import affine as affine
from jaxdc.augment.warp import random_rotation as random_rotation
from jaxdc.augment.warp import random_scaling as random_scaling
from jaxdc.augment.warp import random_shear as random_shear
from jaxdc.augment.warp import random_translation as random_translation
from jaxdc.augment.warp import rotation as rotation
from jaxdc.augment.warp import scaling as scaling
from jaxdc.augment.warp import shear as shear
from jaxdc.augment.warp import translation as translation

"""The fourteen operations that strong augmentation draws from, as in RandAugment.

Operations and ranges are those of SCAN's released code: UDA's and FixMatch's with smaller shears and shifts, and
without the half of colour, contrast, brightness and sharpness that increases them. RandAugment: Cubuk
et al., 2020, arXiv 1909.13719; SCAN: Van Gansbeke et al., 2020, arXiv 2005.12320.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.augment import _checks, warp
from jaxdc.augment.color import blend, grey
from jaxdc.augment.filters import smooth
from jaxdc.augment.tone import autocontrast, equalize, posterize, solarize

# Magnitudes at levels 0 and 1.
RANGES = {
    "identity": (0.0, 0.0),
    "autocontrast": (0.0, 0.0),
    "equalize": (0.0, 0.0),
    "rotation": (-math.pi / 6, math.pi / 6),
    "solarize": (0.0, 256 / 255),
    "saturation": (0.05, 0.95),
    "contrast": (0.05, 0.95),
    "brightness": (0.05, 0.95),
    "sharpness": (0.05, 0.95),
    "shear_horizontal": (-0.1, 0.1),
    "translation_horizontal": (-0.1, 0.1),
    "translation_vertical": (-0.1, 0.1),
    "posterize": (4.0, 8.0),
    "shear_vertical": (-0.1, 0.1),
}
POOL = tuple(RANGES)


@_checks.on_images
def pool_operation(
    images: Float[Array, "b h w c"], operation: Int[Array, " b"], level: Float[Array, " b"]
) -> Float[Array, "b h w c"]:
    """Applies one operation of the pool to each image.

    A branch per image would run all fourteen operations on all images. Instead, the five geometric ones are one
    mapping with one gather (nearest pixel, as in Pillow; pixels from outside are 0), the four that blend are one
    blend, and the rest is a choice within one pass over the pixels.

    Args:
      images: ``[b, h, w, c]``.
      operation: index into ``POOL`` ``[b]``.
      level: position between the smallest and the largest magnitude of the operation ``[b]``, from 0 to 1;
        the middle leaves a rotation, shear or shift without effect. Posterize rounds down to whole bits.

    Returns:
      Images of the same shape.
    """
    operation = _checks.per_sample("operation", operation, images, dtype=jnp.int32)
    level = _checks.per_sample("level", level, images)

    def chosen(name):
        return operation == POOL.index(name)

    def magnitude(name, otherwise=0.0):
        low, high = RANGES[name]
        return jnp.where(chosen(name), low + (high - low) * level, otherwise)

    def pixels(value):
        return value[:, None, None, None]

    h, w = images.shape[1:3]
    shear = jnp.stack([magnitude("shear_vertical"), magnitude("shear_horizontal")], axis=1)
    shift = jnp.stack([magnitude("translation_vertical") * h, magnitude("translation_horizontal") * w], axis=1)
    matrix = warp.affine_matrix(magnitude("rotation"), shear, shift)
    x = warp.affine(images, matrix, interpolation="nearest")

    # At most one of these factors differs from 1.
    blended = ("saturation", "contrast", "brightness", "sharpness")
    factor = 1 + sum(magnitude(name, otherwise=1.0) - 1 for name in blended)
    shade = grey(x)
    degenerate = jnp.where(pixels(chosen("contrast")), jnp.mean(shade, axis=(1, 2, 3), keepdims=True), 0.0)
    degenerate = jnp.where(pixels(chosen("saturation")), shade, degenerate)
    degenerate = jnp.where(pixels(chosen("sharpness")), smooth(x), degenerate)
    x = blend(degenerate, x, pixels(factor))

    bits = jnp.floor(magnitude("posterize", otherwise=8.0)).astype(jnp.int32)
    x = jnp.where(pixels(chosen("posterize")), posterize(x, bits), x)
    x = solarize(x, magnitude("solarize", otherwise=2.0))
    x = jnp.where(pixels(chosen("autocontrast")), autocontrast(x), x)
    return jnp.where(pixels(chosen("equalize")), equalize(x), x)


@_checks.on_images
def random_pool_operations(
    key: jax.Array, images: Float[Array, "b h w c"], *, n_ops: int = 4
) -> Float[Array, "b h w c"]:
    """Applies ``n_ops`` random operations of the pool to each image, with replacement and random levels.

    Args:
      key: a ``jax.random.key``.
      images: ``[b, h, w, c]``.
      n_ops: number of operations per image.

    Returns:
      Images of the same shape.
    """
    _checks.number("n_ops", n_ops, 0)
    operation_key, level_key = jax.random.split(key)
    operations = jax.random.randint(operation_key, (n_ops, len(images)), 0, len(POOL))
    levels = jax.random.uniform(level_key, (n_ops, len(images)))
    # A compiled loop, so that the program does not grow with n_ops.
    return jax.lax.scan(lambda x, drawn: (pool_operation(x, *drawn), None), images, (operations, levels))[0]

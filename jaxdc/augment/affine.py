"""Rotation and translation by bilinear sampling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def rotate_shift(
    images: Float[Array, "b h w c"], radians: Float[Array, " b"], shift: Float[Array, "b 2"]
) -> Float[Array, "b h w c"]:
    """Rotates each image about its centre, then shifts it.

    Interpolation is bilinear; pixels from outside are 0.

    Args:
      images: ``[b, h, w, c]``.
      radians: angle of each image ``[b]``, counter-clockwise.
      shift: pixels down and to the right ``[b, 2]``.

    Returns:
      Images of the same shape.
    """
    b, h, w, c = images.shape
    rows, columns = jnp.meshgrid(jnp.arange(h) - (h - 1) / 2, jnp.arange(w) - (w - 1) / 2, indexing="ij")
    # Input position of each output pixel: undo the shift, then the rotation.
    rows = rows[None] - shift[:, 0, None, None]
    columns = columns[None] - shift[:, 1, None, None]
    cos, sin = jnp.cos(radians)[:, None, None], jnp.sin(radians)[:, None, None]
    # A border of zeros, one pixel wide, represents everything outside.
    source_rows = jnp.clip(cos * rows + sin * columns + (h - 1) / 2 + 1, 0, h + 1)
    source_columns = jnp.clip(-sin * rows + cos * columns + (w - 1) / 2 + 1, 0, w + 1)
    pixels = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(b, (h + 2) * (w + 2), c)

    top, left = jnp.floor(source_rows), jnp.floor(source_columns)
    down, right = (source_rows - top)[..., None], (source_columns - left)[..., None]
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)
    bottom, end = jnp.minimum(top + 1, h + 1), jnp.minimum(left + 1, w + 1)

    def at(row, column):
        index = (row * (w + 2) + column).reshape(b, h * w, 1)
        return jnp.take_along_axis(pixels, index, axis=1).reshape(b, h, w, c)

    upper = at(top, left) * (1 - right) + at(top, end) * right
    lower = at(bottom, left) * (1 - right) + at(bottom, end) * right
    return upper * (1 - down) + lower * down


def random_rotate_shift(
    key: jax.Array, images: Float[Array, "b h w c"], *, degrees: float = 10.0, shift: float = 0.1
) -> Float[Array, "b h w c"]:
    """Rotates and shifts each image randomly.

    The augmentation of DEC-DA (Guo et al., ACML 2018).

    Args:
      key: a ``jax.random.key``.
      images: ``[b, h, w, c]``.
      degrees: angles are uniform between minus and plus this.
      shift: shifts are uniform between minus and plus this share of the height and of the width.

    Returns:
      Images of the same shape.
    """
    b, h, w, _ = images.shape
    angle_key, shift_key = jax.random.split(key)
    radians = jnp.deg2rad(jax.random.uniform(angle_key, (b,), minval=-degrees, maxval=degrees))
    pixels = jax.random.uniform(shift_key, (b, 2), minval=-shift, maxval=shift) * jnp.array([[h, w]])
    return rotate_shift(images, radians, pixels)

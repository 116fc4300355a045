"""Shifts, zooms, rotations and shears of the content within the frame of the image.

Interpolation is bilinear or nearest-pixel; pixels from outside have the value ``fill``, 0 by default, and
blend with the border over one pixel (SciPy's ``mode="grid-constant"``).
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.augment import _checks
from jaxdc.augment.geometry import interpolation_weights, resample

Interpolation = Literal["bilinear", "nearest"]


@_checks.on_images
def translation(
    images: Float[Array, "b h w c"], shift: Float[Array, "b 2"], *, fill: float = 0.0
) -> Float[Array, "b h w c"]:
    """Shifts each image, bilinearly, with two matrix products.

    Args:
      images: ``[b, h, w, c]``.
      shift: pixels down and to the right ``[b, 2]``.
      fill: value of pixels from outside.

    Returns:
      Images of the same shape.
    """
    h, w = images.shape[1:3]
    shift = _checks.per_sample("shift", shift, images, 2)
    rows = interpolation_weights(-shift[:, 0], jnp.full(len(images), h, jnp.float32), h, h, antialias=False)
    columns = interpolation_weights(-shift[:, 1], jnp.full(len(images), w, jnp.float32), w, w, antialias=False)
    return resample(images, rows, columns, fill)


@_checks.on_images
def random_translation(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    shift: float = 0.1,
    fill: float = 0.0,
    probability: float = 1.0,
) -> Float[Array, "b h w c"]:
    """Shifts each image by up to ``shift`` times its height and width, in either direction."""
    _checks.number("shift", shift, 0, 1)
    draw_key, coin_key = jax.random.split(key)
    share = jax.random.uniform(draw_key, (len(images), 2), minval=-shift, maxval=shift)
    sides = jnp.array([images.shape[1:3]], jnp.float32)
    return _checks.some(coin_key, probability, translation(images, share * sides, fill=fill), images)


@_checks.on_images
def scaling(
    images: Float[Array, "b h w c"], factor: Float[Array, " b"], *, fill: float = 0.0
) -> Float[Array, "b h w c"]:
    """Zooms each image about its centre, bilinearly without anti-aliasing, with two matrix products.

    Args:
      images: ``[b, h, w, c]``.
      factor: magnification of the content ``[b]``, > 0; below 1 the border is filled.
      fill: value of pixels from outside.

    Returns:
      Images of the same shape.
    """
    factor = _checks.per_sample("factor", factor, images)
    rows, columns = (
        interpolation_weights((n - n / factor) / 2, n / factor, n, n, antialias=False) for n in images.shape[1:3]
    )
    return resample(images, rows, columns, fill)


@_checks.on_images
def random_scaling(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    factor: tuple[float, float] = (0.8, 1.25),
    fill: float = 0.0,
    probability: float = 1.0,
) -> Float[Array, "b h w c"]:
    """Zooms each image by a factor drawn uniformly on a logarithmic scale."""
    _checks.interval("factor", factor, 1e-3)
    draw_key, coin_key = jax.random.split(key)
    low, high = jnp.log(jnp.array(factor))
    drawn = jnp.exp(jax.random.uniform(draw_key, (len(images),), minval=low, maxval=high))
    return _checks.some(coin_key, probability, scaling(images, drawn, fill=fill), images)


@_checks.on_images
def affine(
    images: Float[Array, "b h w c"],
    matrix: Float[Array, "b 2 3"],
    *,
    fill: float = 0.0,
    interpolation: Interpolation = "bilinear",
) -> Float[Array, "b h w c"]:
    """Fills each pixel with the content at another position, ``matrix @ (row, column, 1)``.

    The only operation here that gathers pixels: one gather with ``"nearest"``, four with ``"bilinear"``.

    Args:
      images: ``[b, h, w, c]``.
      matrix: for each image ``[b, 2, 3]``, from the position in the result to the row and column in the
        image, both relative to the centre.
      fill: value of pixels from outside.
      interpolation: ``"bilinear"`` or ``"nearest"``.

    Returns:
      Images of the same shape.
    """
    _checks.one_of("interpolation", interpolation, ("bilinear", "nearest"))
    b, h, w, c = images.shape
    if jnp.shape(matrix) != (b, 2, 3):
        raise ValueError(f"matrix must have the shape {(b, 2, 3)}, but has {jnp.shape(matrix)}")
    matrix = jnp.asarray(matrix, jnp.float32)[:, :, :, None, None]
    rows = (jnp.arange(h, dtype=jnp.float32) - (h - 1) / 2)[None, :, None]
    columns = (jnp.arange(w, dtype=jnp.float32) - (w - 1) / 2)[None, None, :]
    # A border of one pixel of fill represents everything outside; positions count from that border.
    source_rows = matrix[:, 0, 0] * rows + matrix[:, 0, 1] * columns + matrix[:, 0, 2] + (h + 1) / 2
    source_columns = matrix[:, 1, 0] * rows + matrix[:, 1, 1] * columns + matrix[:, 1, 2] + (w + 1) / 2
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=fill).reshape(b, -1, c)

    def at(row, column):
        index = row.astype(jnp.int32) * (w + 2) + column.astype(jnp.int32)
        pixels = jnp.take_along_axis(padded, index.reshape(b, h * w, 1), axis=1, mode="promise_in_bounds")
        return pixels.reshape(b, h, w, c)

    if interpolation == "nearest":
        row, column = jnp.floor(source_rows + 0.5), jnp.floor(source_columns + 0.5)
        return at(jnp.clip(row, 0, h + 1), jnp.clip(column, 0, w + 1))
    source_rows, source_columns = jnp.clip(source_rows, 0, h + 1), jnp.clip(source_columns, 0, w + 1)
    top, left = jnp.minimum(jnp.floor(source_rows), h), jnp.minimum(jnp.floor(source_columns), w)
    down, right = (source_rows - top)[..., None], (source_columns - left)[..., None]
    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return upper * (1 - down) + lower * down


def affine_matrix(
    radians: Float[Array, " b"], shear: Float[Array, "b 2"], shift: Float[Array, "b 2"]
) -> Float[Array, "b 2 3"]:
    """Matrices for :func:`affine` with a rotation, a shear or a translation; the other two are 0."""
    cos, sin = jnp.cos(radians), jnp.sin(radians)
    row = jnp.stack([cos, sin + shear[:, 0], -shift[:, 0]], axis=-1)
    column = jnp.stack([shear[:, 1] - sin, cos, -shift[:, 1]], axis=-1)
    return jnp.stack([row, column], axis=-2)


@_checks.on_images
def rotation(
    images: Float[Array, "b h w c"],
    radians: Float[Array, " b"],
    *,
    fill: float = 0.0,
    interpolation: Interpolation = "bilinear",
) -> Float[Array, "b h w c"]:
    """Rotates each image about its centre.

    Args:
      images: ``[b, h, w, c]``.
      radians: angle of each image ``[b]``, counter-clockwise.
      fill: value of pixels from outside.
      interpolation: ``"bilinear"`` or ``"nearest"``.

    Returns:
      Images of the same shape.
    """
    radians = _checks.per_sample("radians", radians, images)
    zero = jnp.zeros((len(images), 2))
    return affine(images, affine_matrix(radians, zero, zero), fill=fill, interpolation=interpolation)


@_checks.on_images
def random_rotation(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    degrees: float = 30.0,
    fill: float = 0.0,
    interpolation: Interpolation = "bilinear",
    probability: float = 1.0,
) -> Float[Array, "b h w c"]:
    """Rotates each image by an angle drawn uniformly between minus and plus ``degrees``."""
    _checks.number("degrees", degrees, 0, 360)
    draw_key, coin_key = jax.random.split(key)
    radians = jnp.deg2rad(_checks.uniform(draw_key, images, -degrees, degrees))
    return _checks.some(
        coin_key, probability, rotation(images, radians, fill=fill, interpolation=interpolation), images
    )


@_checks.on_images
def shear(
    images: Float[Array, "b h w c"],
    amount: Float[Array, "b 2"],
    *,
    fill: float = 0.0,
    interpolation: Interpolation = "bilinear",
) -> Float[Array, "b h w c"]:
    """Shears each image, keeping its centre in place.

    Args:
      images: ``[b, h, w, c]``.
      amount: pixels up per column and pixels to the left per row ``[b, 2]``, as in Pillow's
        ``transform(AFFINE)``: the content at (row + amount[0] * column, column + amount[1] * row).
      fill: value of pixels from outside.
      interpolation: ``"bilinear"`` or ``"nearest"``.

    Returns:
      Images of the same shape.
    """
    amount = _checks.per_sample("amount", amount, images, 2)
    zero = jnp.zeros_like(amount)
    return affine(images, affine_matrix(zero[:, 0], amount, zero), fill=fill, interpolation=interpolation)


@_checks.on_images
def random_shear(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    amount: float = 0.1,
    fill: float = 0.0,
    interpolation: Interpolation = "bilinear",
    probability: float = 1.0,
) -> Float[Array, "b h w c"]:
    """Shears each image by up to ``amount`` pixels per row and per column, in either direction."""
    _checks.number("amount", amount, 0)
    draw_key, coin_key = jax.random.split(key)
    drawn = jax.random.uniform(draw_key, (len(images), 2), minval=-amount, maxval=amount)
    return _checks.some(
        coin_key, probability, shear(images, drawn, fill=fill, interpolation=interpolation), images
    )

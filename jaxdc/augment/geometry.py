"""Crops, flips, shifts and zooms: operations that treat rows and columns separately.

Each takes two small matrix products per image, ``rows @ image @ columns.T``: matrix units do them at once,
while a gather goes pixel by pixel. The products run at full precision, because half precision would round the
pixels; compared with a network's they cost nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxdc.augment import _checks

# Candidates of random_resized_crop, as in torchvision.
_TRIES = 10


def interpolation_weights(
    start: Float[Array, " b"], extent: Float[Array, " b"], n_in: int, n_out: int, *, antialias: bool
) -> Float[Array, "b n_out n_in"]:
    """The matrix that interpolates ``n_out`` values, evenly spaced over an interval, from ``n_in`` pixels.

    Pixel i covers [i, i + 1]. The kernel is a triangle with half-width 1, or, with ``antialias``, the width of an
    output pixel in input pixels if that is more. A negative extent reads backwards. Positions outside the pixels
    have no weight.
    """
    step = (extent / n_out)[:, None, None]
    place = jnp.arange(n_out, dtype=jnp.float32)[None, :, None] + 0.5
    centre = start[:, None, None] + place * step
    pixel = jnp.arange(n_in, dtype=jnp.float32)[None, None, :] + 0.5
    reach = jnp.maximum(jnp.abs(step), 1) if antialias else 1.0
    return jnp.maximum(0, 1 - jnp.abs(pixel - centre) / reach)


def resample(
    images: Float[Array, "b h w c"],
    rows: Float[Array, "b h2 h"],
    columns: Float[Array, "b w2 w"],
    fill: float = 0.0,
) -> Float[Array, "b h2 w2 c"]:
    """Weights the pixels of each image along both axes; missing weight counts as ``fill``."""
    exact = jax.lax.Precision.HIGHEST
    x = images - fill if fill else images
    x = jnp.einsum("boh,bhwc->bowc", rows, x, precision=exact)
    x = jnp.einsum("bpw,bowc->bopc", columns, x, precision=exact)
    return x + fill if fill else x


@_checks.on_images
def resized_crop(
    images: Float[Array, "b h w c"],
    box: Float[Array, "b 4"],
    size: int | tuple[int, int] | None = None,
) -> Float[Array, "b h2 w2 c"]:
    """Crops a box from each image and resizes it.

    Bilinear, with anti-aliasing when it shrinks: the same numbers as Pillow's
    ``resize(size, BILINEAR, box)``, and as ``tf.image.resize(antialias=True)`` if the box is the full image.

    Args:
      images: ``[b, h, w, c]``.
      box: top, left, height and width in pixels ``[b, 4]``; fractions are allowed. A negative
        height or width mirrors: its box lies above or to the left of the corner.
      size: side, or (height, width), of the result; None keeps the size of the images.

    Returns:
      ``[b, height, width, c]``.
    """
    height, width = _checks.output_size(size, images)
    box = _checks.per_sample("box", box, images, 4)
    rows = interpolation_weights(box[:, 0], box[:, 2], images.shape[1], height, antialias=True)
    columns = interpolation_weights(box[:, 1], box[:, 3], images.shape[2], width, antialias=True)
    return resample(images, _normalized(rows), _normalized(columns))


def _normalized(weights):
    return weights / jnp.maximum(jnp.sum(weights, axis=-1, keepdims=True), 1e-6)


def random_box(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    scale: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, "b 4"]:
    """Draws the boxes of :func:`random_resized_crop`: top, left, height and width ``[b, 4]``."""
    _checks.interval("scale", scale, 0, 1)
    _checks.interval("ratio", ratio, 1e-6)
    if scale[1] == 0:
        raise ValueError(f"scale must extend above 0, but is {scale}")
    b, h, w, _ = images.shape
    area_key, ratio_key, place_key = jax.random.split(key, 3)
    area = h * w * jax.random.uniform(area_key, (b, _TRIES), minval=scale[0], maxval=scale[1])
    log_ratio = jnp.log(jnp.array(ratio))
    aspect = jnp.exp(jax.random.uniform(ratio_key, (b, _TRIES), minval=log_ratio[0], maxval=log_ratio[1]))
    heights, widths = jnp.sqrt(area / aspect), jnp.sqrt(area * aspect)
    fits = (heights <= h) & (widths <= w)
    first = fits & (jnp.cumsum(fits, axis=1) == 1)
    # If none fits, use the largest box with an allowed aspect ratio.
    last_ratio = min(max(w / h, ratio[0]), ratio[1])
    last_height, last_width = min(h, w / last_ratio), min(w, h * last_ratio)
    any_fits = jnp.any(fits, axis=1)
    height = jnp.where(any_fits, jnp.sum(heights * first, axis=1), last_height)
    width = jnp.where(any_fits, jnp.sum(widths * first, axis=1), last_width)
    place = jax.random.uniform(place_key, (b, 2))
    place = jnp.where(any_fits[:, None], place, 0.5)
    return jnp.stack([place[:, 0] * (h - height), place[:, 1] * (w - width), height, width], axis=1)


def mirrored(box: Float[Array, "b 4"], flipped: Bool[Array, " b"]) -> Float[Array, "b 4"]:
    """The boxes, read from right to left if ``flipped``: a flip at no cost."""
    top, left, height, width = box.T
    left, width = jnp.where(flipped, left + width, left), jnp.where(flipped, -width, width)
    return jnp.stack([top, left, height, width], axis=1)


@_checks.on_images
def random_resized_crop(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    size: int | tuple[int, int] | None = None,
    scale: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, "b h2 w2 c"]:
    """Crops a random part of each image and resizes it (Szegedy et al., 2015).

    Same as torchvision's ``RandomResizedCrop``.

    Takes the first of ten draws of area and aspect ratio that fits into the image, or, if none fits, the
    largest box in the centre. Unlike in torchvision, boxes are not rounded to whole pixels.

    Args:
      key: a ``jax.random.key``.
      images: ``[b, h, w, c]``.
      size: side, or (height, width), of the result; None keeps the size of the images.
      scale: smallest and largest share of the area, drawn uniformly.
      ratio: smallest and largest width / height, drawn uniformly on a logarithmic scale.

    Returns:
      ``[b, height, width, c]``.
    """
    return resized_crop(images, random_box(key, images, scale=scale, ratio=ratio), size)


@_checks.on_images
def crop(
    images: Float[Array, "b h w c"],
    corner: Int[Array, "b 2"],
    size: int | tuple[int, int],
    *,
    fill: float = 0.0,
) -> Float[Array, "b h2 w2 c"]:
    """Crops a window from each image, without interpolation.

    Args:
      images: ``[b, h, w, c]``.
      corner: top and left of each window ``[b, 2]``, integers. Windows may extend outside the image.
      size: side, or (height, width), of the windows.
      fill: value of pixels outside the image.

    Returns:
      ``[b, height, width, c]``.
    """
    height, width = _checks.output_size(size, images)
    corner = _checks.per_sample("corner", corner, images, 2, dtype=jnp.int32)
    weights = [
        (corner[:, axis, None, None] + jnp.arange(n_out)[None, :, None]) == jnp.arange(n_in)[None, None, :]
        for axis, n_out, n_in in ((0, height, images.shape[1]), (1, width, images.shape[2]))
    ]
    return resample(images, weights[0].astype(jnp.float32), weights[1].astype(jnp.float32), fill)


@_checks.on_images
def random_crop(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    size: int | tuple[int, int] | None = None,
    padding: int = 0,
    fill: float = 0.0,
) -> Float[Array, "b h2 w2 c"]:
    """Crops a random window from each image, after padding.

    Args:
      key: a ``jax.random.key``.
      images: ``[b, h, w, c]``.
      size: side, or (height, width), of the windows; None keeps the size of the images.
      padding: pixels of ``fill`` added on each side first.
      fill: value of the padding.

    Returns:
      ``[b, height, width, c]``.
    """
    corner = random_corner(key, images, size=size, padding=padding)
    return crop(images, corner, _checks.output_size(size, images), fill=fill)


def random_corner(
    key: jax.Array, images: Float[Array, "b h w c"], *, size: int | tuple[int, int] | None = None, padding: int = 0
) -> Int[Array, "b 2"]:
    """Draws the windows of :func:`random_crop`: top and left ``[b, 2]``."""
    _checks.number("padding", padding, 0)
    room = [
        n + 2 * padding - out for n, out in zip(images.shape[1:3], _checks.output_size(size, images), strict=True)
    ]
    if min(room) < 0:
        h, w = images.shape[1:3]
        raise ValueError(f"size {size} is larger than the images, {h} x {w} with a padding of {padding}")
    keys = jax.random.split(key)
    draws = [jax.random.randint(k, (len(images),), 0, most + 1) for k, most in zip(keys, room, strict=True)]
    return jnp.stack(draws, axis=1) - padding


@_checks.on_images
def flip_horizontal(images: Float[Array, "b h w c"], flipped: Bool[Array, " b"]) -> Float[Array, "b h w c"]:
    """Mirrors left and right if ``flipped`` ``[b]``."""
    return _flip(images, flipped, axis=2)


@_checks.on_images
def flip_vertical(images: Float[Array, "b h w c"], flipped: Bool[Array, " b"]) -> Float[Array, "b h w c"]:
    """Mirrors top and bottom if ``flipped`` ``[b]``."""
    return _flip(images, flipped, axis=1)


def _flip(x, flipped, axis):
    return jnp.where(
        _checks.per_sample("flipped", flipped, x, dtype=bool)[:, None, None, None], jnp.flip(x, axis), x
    )


@_checks.on_images
def random_flip_horizontal(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.5
) -> Float[Array, "b h w c"]:
    """Mirrors each image left and right with this probability."""
    return _checks.some(key, probability, jnp.flip(images, 2), images)


@_checks.on_images
def random_flip_vertical(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.5
) -> Float[Array, "b h w c"]:
    """Mirrors each image top and bottom with this probability."""
    return _checks.some(key, probability, jnp.flip(images, 1), images)

"""Blur, sharpness, edges and cutout."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.augment import _checks
from jaxdc.augment.color import blend
from jaxdc.augment.geometry import resample


@_checks.on_images
def gaussian_blur(
    images: Float[Array, "b h w c"], sigma: Float[Array, " b"], radius: int | None = None
) -> Float[Array, "b h w c"]:
    """Blurs each image with two matrix products; it is mirrored about its outermost pixels.

    Same as SciPy's ``gaussian_filter(mode="mirror")`` and torchvision's ``gaussian_blur``.

    Args:
      images: ``[b, h, w, c]``.
      sigma: standard deviation of each image's kernel in pixels ``[b]``, > 0.
      radius: radius of the kernel in pixels; None takes 5 % of the height (a kernel of 10 %, as in
        SimCLR), at least 1.

    Returns:
      Images of the same shape.
    """
    h, w = images.shape[1:3]
    radius = max(1, round(h / 20)) if radius is None else radius
    if not 1 <= radius < min(h, w):
        raise ValueError(
            f"radius must be at least 1 and less than the side of the images, but is {radius} for {h} x {w}"
        )
    sigma = _checks.per_sample("sigma", sigma, images)[:, None, None]
    return resample(images, _blurring(sigma, radius, h), _blurring(sigma, radius, w))


def _blurring(sigma, radius, n):
    place = jnp.arange(n, dtype=jnp.float32)
    out, pixel = place[None, :, None], place[None, None, :]

    def kernel(distance):
        return jnp.where(jnp.abs(distance) <= radius, jnp.exp(-0.5 * (distance / sigma) ** 2), 0)

    weights = kernel(out - pixel)
    weights = weights + jnp.where(pixel > 0, kernel(out + pixel), 0)
    weights = weights + jnp.where(pixel < n - 1, kernel(2 * (n - 1) - out - pixel), 0)
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


@_checks.on_images
def random_gaussian_blur(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    sigma: tuple[float, float] = (0.1, 2.0),
    radius: int | None = None,
    probability: float = 0.5,
) -> Float[Array, "b h w c"]:
    """Blurs each image with this probability, with a sigma drawn uniformly from the range.

    The defaults are those of SimCLR on ImageNet (Chen et al., 2020, arXiv 2002.05709, appendix A).
    """
    _checks.interval("sigma", sigma, 1e-3)
    draw_key, coin_key = jax.random.split(key)
    blurred = gaussian_blur(images, _checks.uniform(draw_key, images, *sigma), radius)
    return _checks.some(coin_key, probability, blurred, images)


def smooth(images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Pillow's ``SMOOTH``: a 3 x 3 mean in which the centre has weight 5 of 13; the border is unchanged."""
    h, w = images.shape[1:3]
    if min(h, w) < 3:
        return images
    three_rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    nine = three_rows[:, :, :-2] + three_rows[:, :, 1:-1] + three_rows[:, :, 2:]
    inner = jnp.pad(nine, ((0, 0), (1, 1), (1, 1), (0, 0))) + 4 * images
    row, column = jnp.arange(h)[None, :, None, None], jnp.arange(w)[None, None, :, None]
    inside = (row > 0) & (row < h - 1) & (column > 0) & (column < w - 1)
    return jnp.where(inside, inner / 13, images)


@_checks.on_images
def sharpness(images: Float[Array, "b h w c"], factor: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Pillow's sharpness with each image's factor ``[b]``: 0 smooths, above 1 sharpens; clips to [0, 1]."""
    return blend(smooth(images), images, _checks.per_pixel("factor", factor, images))


@_checks.on_images
def random_sharpness(
    key: jax.Array, images: Float[Array, "b h w c"], *, amount: float = 0.9, probability: float = 1.0
) -> Float[Array, "b h w c"]:
    """Changes sharpness by a factor uniform between 1 - amount (at least 0) and 1 + amount."""
    _checks.number("amount", amount, 0)
    draw_key, coin_key = jax.random.split(key)
    factor = _checks.uniform(draw_key, images, max(0.0, 1 - amount), 1 + amount)
    return _checks.some(coin_key, probability, sharpness(images, factor), images)


@_checks.on_images
def sobel(images: Float[Array, "b h w c"]) -> Float[Array, "b h w 2"]:
    """Horizontal and vertical derivatives of the grey image, by Sobel's filter.

    DeepCluster's network sees these instead of colours (Caron et al., 2018, arXiv 1807.05520). As in its code,
    grey is the mean of the channels, and pixels outside are zero: apply it after ``normalize``, where
    zero is the mean colour. Same as SciPy's ``sobel(mode="constant")``; the code's derivatives have the opposite
    sign.

    Args:
      images: ``[b, h, w, c]``, with any values.

    Returns:
      ``[b, h, w, 2]``.
    """
    grey = jnp.pad(jnp.mean(images, axis=-1), ((0, 0), (1, 1), (1, 1)))
    rows = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    columns = grey[:, :, :-2] + 2 * grey[:, :, 1:-1] + grey[:, :, 2:]
    return jnp.stack([rows[:, :, 2:] - rows[:, :, :-2], columns[:, 2:] - columns[:, :-2]], axis=-1)


@_checks.on_images
def cutout(
    images: Float[Array, "b h w c"], centre: Int[Array, "b 2"], side: Int[Array, " b"] | int, *, fill: float = 0.0
) -> Float[Array, "b h w c"]:
    """Fills a square in each image (DeVries and Taylor, 2017, arXiv 1708.04552).

    Args:
      images: ``[b, h, w, c]``.
      centre: row and column of the centre pixel of each square ``[b, 2]``; parts outside the image are
        ignored.
      side: side of each square ``[b]``, or of all; it spans ``side`` rows from centre - side // 2.
      fill: value of the square.

    Returns:
      Images of the same shape.
    """
    centre = _checks.per_sample("centre", centre, images, 2, dtype=jnp.int32)
    side = _checks.per_sample("side", side, images, dtype=jnp.int32)[:, None]
    rows, columns = (
        (jnp.arange(n)[None, :] >= middle - side // 2) & (jnp.arange(n)[None, :] < middle - side // 2 + side)
        for n, middle in zip(images.shape[1:3], (centre[:, 0:1], centre[:, 1:2]), strict=True)
    )
    return jnp.where(rows[:, :, None, None] & columns[:, None, :, None], fill, images)


@_checks.on_images
def random_cutout(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    side: tuple[int, int] = (16, 16),
    fill: float = 0.0,
    probability: float = 1.0,
) -> Float[Array, "b h w c"]:
    """Fills a square in each image, centred on a random pixel.

    Args:
      key: a ``jax.random.key``.
      images: ``[b, h, w, c]``.
      side: smallest and largest side, drawn uniformly, both inclusive.
      fill: value of the square.
      probability: share of the images that get a square.

    Returns:
      Images of the same shape.
    """
    _checks.interval("side", side, 0)
    b, h, w, _ = images.shape
    row_key, column_key, side_key, coin_key = jax.random.split(key, 4)
    rows, columns = jax.random.randint(row_key, (b,), 0, h), jax.random.randint(column_key, (b,), 0, w)
    sides = jax.random.randint(side_key, (b,), side[0], side[1] + 1)
    cut = cutout(images, jnp.stack([rows, columns], axis=1), sides, fill=fill)
    return _checks.some(coin_key, probability, cut, images)

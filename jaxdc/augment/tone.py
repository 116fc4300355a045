"""Solarize, posterize, invert, autocontrast and equalize, which map values directly or by the image's histogram.

Posterize and equalize work on bytes: values are first rounded to 256 levels, as in Pillow.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.augment import _checks

# One-hot codes of at most this many pixels are held at a time: larger images are processed in blocks.
_BLOCK = 4096


@_checks.on_images
def solarize(images: Float[Array, "b h w c"], threshold: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Inverts the values at or above the image's threshold ``[b]``, from 0 to 1."""
    return jnp.where(images < _checks.per_pixel("threshold", threshold, images), images, 1 - images)


@_checks.on_images
def posterize(images: Float[Array, "b h w c"], bits: Int[Array, " b"]) -> Float[Array, "b h w c"]:
    """Keeps the highest bits of each 8-bit value, 1 to 8 bits for each image ``[b]``."""
    bits = _checks.per_sample("bits", bits, images, dtype=jnp.int32)
    step = jnp.left_shift(jnp.ones_like(bits), 8 - bits)[:, None, None, None]
    return (_levels(images) // step * step).astype(jnp.float32) / 255


def _levels(x):
    return jnp.clip(jnp.round(x * 255), 0, 255).astype(jnp.int32)


@_checks.on_images
def invert(images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """The negative: ``1 - images``."""
    return 1 - images


@_checks.on_images
def autocontrast(images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Stretches each channel of each image from its own range to [0, 1]; constant channels are unchanged."""
    low, high = jnp.min(images, axis=(1, 2), keepdims=True), jnp.max(images, axis=(1, 2), keepdims=True)
    spread = high - low
    return jnp.where(spread > 0, (images - low) / jnp.where(spread > 0, spread, 1), images)


@_checks.on_images
def equalize(images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Flattens the histogram of each channel of each image, like Pillow's ``ImageOps.equalize``.

    Neither histogram nor look-up needs scatters or gathers: a level is 16 times its high digit plus its low digit,
    and the histogram is the matrix product of the digits' one-hot codes; table look-up works the same way.
    """
    b, h, w, c = images.shape
    n = h * w
    n_blocks = math.ceil(n / _BLOCK)
    levels = jnp.moveaxis(_levels(images).reshape(b, n, c), 2, 1)
    # Level 256 has no code, so padding is counted nowhere.
    padded = jnp.pad(levels, ((0, 0), (0, 0), (0, -n % n_blocks)), constant_values=256)
    blocks = jnp.moveaxis(padded.reshape(b, c, n_blocks, -1), 2, 0)
    table = _equalizing_table(
        jnp.sum(jax.lax.map(_histogram, blocks), axis=0) if n_blocks > 1 else _histogram(levels)
    )
    if n_blocks > 1:
        new = jax.lax.map(lambda block: _look_up(table, block), blocks)
        new = jnp.moveaxis(new, 0, 2).reshape(b, c, -1)[:, :, :n]
    else:
        new = _look_up(table, levels)
    return jnp.moveaxis(new, 1, 2).reshape(images.shape) / 255


def _digits(levels):
    digit = jnp.arange(16)[None, None, None, :]
    high, low = levels[..., None] // 16, levels[..., None] % 16
    return (high == digit).astype(jnp.float32), (low == digit).astype(jnp.float32)


def _histogram(levels):
    """Counts [b, c, 256] of levels [b, c, n]; products of zeros and ones are exact at any precision."""
    high, low = _digits(levels)
    return jnp.einsum("bcni,bcnj->bcij", high, low).reshape(*levels.shape[:2], 256)


def _look_up(table, levels):
    """Looks up levels [b, c, n] in a table [b, c, 256] of integers up to 256, which are exact in bfloat16."""
    high, low = _digits(levels)
    rows = jnp.einsum("bcni,bcij->bcnj", high, table.reshape(*table.shape[:2], 16, 16))
    return jnp.sum(rows * low, axis=-1)


def _equalizing_table(counts):
    counts = counts.astype(jnp.int32)
    level = jnp.arange(256)[None, None, :]
    highest = jnp.max(jnp.where(counts > 0, level, 0), axis=-1, keepdims=True)
    without_last = jnp.sum(jnp.where(level < highest, counts, 0), axis=-1, keepdims=True)
    step = without_last // 255
    below = jnp.cumsum(counts, axis=-1) - counts
    new = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, new, level).astype(jnp.float32)


@_checks.on_images
def random_solarize(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    threshold: tuple[float, float] = (0.0, 1.0),
    probability: float = 1.0,
) -> Float[Array, "b h w c"]:
    """Solarizes each image at a threshold drawn uniformly from the range."""
    _checks.interval("threshold", threshold, 0, 1)
    draw_key, coin_key = jax.random.split(key)
    drawn = _checks.uniform(draw_key, images, *threshold)
    return _checks.some(coin_key, probability, solarize(images, drawn), images)


@_checks.on_images
def random_posterize(
    key: jax.Array, images: Float[Array, "b h w c"], *, bits: tuple[int, int] = (4, 8), probability: float = 1.0
) -> Float[Array, "b h w c"]:
    """Keeps a number of bits drawn uniformly from the range, inclusive."""
    _checks.interval("bits", bits, 1, 8)
    draw_key, coin_key = jax.random.split(key)
    drawn = jax.random.randint(draw_key, (len(images),), bits[0], bits[1] + 1)
    return _checks.some(coin_key, probability, posterize(images, drawn), images)


@_checks.on_images
def random_invert(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.5
) -> Float[Array, "b h w c"]:
    """Inverts each image with this probability."""
    return _checks.some(key, probability, invert(images), images)


@_checks.on_images
def random_autocontrast(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.5
) -> Float[Array, "b h w c"]:
    """Stretches the range of each image with this probability."""
    return _checks.some(key, probability, autocontrast(images), images)


@_checks.on_images
def random_equalize(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.5
) -> Float[Array, "b h w c"]:
    """Equalizes each image with this probability."""
    return _checks.some(key, probability, equalize(images), images)

"""Solarize, posterize, invert, autocontrast and equalize: each value by itself or by the image's histogram.

Posterize and equalize speak of bytes: values are rounded to 256 levels first, as Pillow's are.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.augment import _checks

# One-hot codes of this many pixels are held at a time: larger images go in blocks.
_BLOCK = 4096


@_checks.on_images
def solarize(images: Float[Array, "b h w c"], threshold: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Inverts the values that reach the image's threshold ``[b]``, within [0, 1]."""
    return jnp.where(images < _checks.per_pixel("threshold", threshold, images), images, 1 - images)


@_checks.on_images
def posterize(images: Float[Array, "b h w c"], bits: Int[Array, " b"]) -> Float[Array, "b h w c"]:
    """Keeps the highest bits, 1 to 8 for each image ``[b]``, of the 8 of each value."""
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
    """Stretches each channel of each image from its own range to [0, 1]; a flat channel stays."""
    low, high = jnp.min(images, axis=(1, 2), keepdims=True), jnp.max(images, axis=(1, 2), keepdims=True)
    spread = high - low
    return jnp.where(spread > 0, (images - low) / jnp.where(spread > 0, spread, 1), images)


@_checks.on_images
def equalize(images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Makes the histogram of each channel of each image flat, as Pillow's ``ImageOps.equalize``.

    Neither histogram nor look-up scatters or gathers: a level is 16 times its high digit plus its low digit,
    and a histogram is the matrix product of the one-hot codes of the two; so is looking up a table.
    """
    b, h, w, c = images.shape
    n = h * w
    n_blocks = math.ceil(n / _BLOCK)
    levels = jnp.moveaxis(_levels(images).reshape(b, n, c), 2, 1)
    # Level 256 has no code: what is padded is counted nowhere.
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
    """Entries of a table [b, c, 256] of whole numbers up to 256, exact in bfloat16, at levels [b, c, n]."""
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
    """Solarizes each image at a threshold drawn uniformly between the two."""
    _checks.interval("threshold", threshold, 0, 1)
    draw_key, coin_key = jax.random.split(key)
    drawn = _checks.uniform(draw_key, images, *threshold)
    return _checks.some(coin_key, probability, solarize(images, drawn), images)


@_checks.on_images
def random_posterize(
    key: jax.Array, images: Float[Array, "b h w c"], *, bits: tuple[int, int] = (4, 8), probability: float = 1.0
) -> Float[Array, "b h w c"]:
    """Keeps a number of bits drawn uniformly between the two, both included."""
    _checks.interval("bits", bits, 1, 8)
    draw_key, coin_key = jax.random.split(key)
    drawn = jax.random.randint(draw_key, (len(images),), bits[0], bits[1] + 1)
    return _checks.some(coin_key, probability, posterize(images, drawn), images)


@_checks.on_images
def random_invert(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.5
) -> Float[Array, "b h w c"]:
    """Inverts each image with the same probability."""
    return _checks.some(key, probability, invert(images), images)


@_checks.on_images
def random_autocontrast(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.5
) -> Float[Array, "b h w c"]:
    """Stretches the range of each image with the same probability."""
    return _checks.some(key, probability, autocontrast(images), images)


@_checks.on_images
def random_equalize(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.5
) -> Float[Array, "b h w c"]:
    """Equalizes each image with the same probability."""
    return _checks.some(key, probability, equalize(images), images)

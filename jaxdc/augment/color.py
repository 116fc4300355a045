"""Brightness, contrast, saturation, hue and greyscale; all clip to [0, 1].

The grey value is that of Pillow and torchvision: 0.299 red + 0.587 green + 0.114 blue. Single-channel images
are their own grey value: brightness and contrast change them, the other operations don't.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.augment import _checks

_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


def grey(images: Float[Array, "b h w c"]) -> Float[Array, "b h w 1"]:
    """The grey value of each pixel."""
    if images.shape[-1] == 1:
        return images
    if images.shape[-1] != 3:
        raise ValueError(f"images must have 1 or 3 channels, but have {images.shape[-1]}")
    return images[..., 0:1] * 0.299 + images[..., 1:2] * 0.587 + images[..., 2:3] * 0.114


def blend(degenerate: Float[Array, "b h w c"], images: Float[Array, "b h w c"], factor: Float[Array, "b 1 1 1"]):
    """Interpolates from ``degenerate`` (factor 0) to the images (1) and beyond (above 1); clipped to [0, 1]."""
    return jnp.clip((1 - factor) * degenerate + factor * images, 0, 1)


@_checks.on_images
def brightness(images: Float[Array, "b h w c"], factor: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Multiplies the values of each image by its factor ``[b]``; 0 is black."""
    return jnp.clip(images * _checks.per_pixel("factor", factor, images), 0, 1)


@_checks.on_images
def contrast(images: Float[Array, "b h w c"], factor: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Scales the distance of each image from its mean grey by its factor ``[b]``; 0 gives that grey."""
    mean = jnp.mean(grey(images), axis=(1, 2, 3), keepdims=True)
    return blend(mean, images, _checks.per_pixel("factor", factor, images))


@_checks.on_images
def saturation(images: Float[Array, "b h w c"], factor: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Scales the distance of each pixel from its own grey by the image's factor ``[b]``; 0 gives grey."""
    return blend(grey(images), images, _checks.per_pixel("factor", factor, images))


@_checks.on_images
def hue(images: Float[Array, "b h w c"], turn: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Rotates the hue of each image around the colour circle by ``turn`` ``[b]``; 1 is a full turn.

    The value and saturation of HSV (a pixel's brightest and darkest channel) stay the same.
    """
    return _hue(images, _checks.per_sample("turn", turn, images)[:, None, None])


def _hue(x, turn):
    if grey(x) is x:
        return x
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    inverse = 1 / jnp.where(chroma > 0, chroma, 1)
    # Not `value == red`: a compiler that computes a channel twice may round it differently, so that none is equal.
    sextant = jnp.where(
        (red >= green) & (red >= blue),
        (green - blue) * inverse,
        jnp.where(green >= blue, 2 + (blue - red) * inverse, 4 + (red - green) * inverse),
    )
    sextant = sextant + 6 * turn

    def channel(offset):
        k = sextant + offset
        k = k - 6 * jnp.floor(k / 6)
        return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

    return jnp.stack([channel(5), channel(3), channel(1)], axis=-1)


@_checks.on_images
def greyscale(images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Sets all channels to the grey value."""
    return jnp.broadcast_to(grey(images), images.shape)


@_checks.on_images
def color_jitter(
    images: Float[Array, "b h w c"], factors: Float[Array, "b 4"], order: Int[Array, "b 4"]
) -> Float[Array, "b h w c"]:
    """Changes brightness, contrast, saturation and hue, in a separate order for each image.

    Args:
      images: ``[b, h, w, c]``.
      factors: factors of brightness, contrast and saturation, and the turn of the hue ``[b, 4]``.
      order: position of each of the four in the order ``[b, 4]``, a permutation of 0, 1, 2, 3.

    Returns:
      Images of the same shape.
    """
    factors = _checks.per_sample("factors", factors, images, 4)
    order = _checks.per_sample("order", order, images, 4, dtype=jnp.int32)
    return _jitter(images, factors, order, with_hue=True)


def _jitter(x, factors, order, with_hue):
    # The three blends differ only in what they blend with, so each position is one pass over the pixels.
    for turn in range(4):
        now = (order == turn).astype(jnp.float32)
        is_contrast, is_saturation = now[:, _CONTRAST, None, None, None], now[:, _SATURATION, None, None, None]
        factor = jnp.sum(now[:, :3] * factors[:, :3], axis=1) + now[:, _HUE]
        shade = grey(x)
        degenerate = is_contrast * jnp.mean(shade, axis=(1, 2, 3), keepdims=True)
        if x.shape[-1] == 3:
            degenerate = degenerate + is_saturation * shade
        else:
            factor = jnp.where(now[:, _SATURATION] > 0, 1, factor)
        x = blend(degenerate, x, factor[:, None, None, None])
        if with_hue:
            is_hue = now[:, _HUE, None, None, None] > 0
            x = jnp.where(is_hue, _hue(x, factors[:, _HUE, None, None]), x)
    return x


def _amounts(brightness, contrast, saturation, hue):
    names = ("brightness", "contrast", "saturation")
    for name, value in zip(names, (brightness, contrast, saturation), strict=True):
        _checks.number(name, value, 0)
    _checks.number("hue", hue, 0, 0.5)


@_checks.on_images
def random_color_jitter(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
    probability: float = 1.0,
) -> Float[Array, "b h w c"]:
    """Changes brightness, contrast, saturation and hue of each image by random amounts, in a random order.

    Like torchvision's ``ColorJitter``, which also draws the order per image.

    Args:
      key: a ``jax.random.key``.
      images: ``[b, h, w, c]``.
      brightness: factors are uniform between 1 - brightness (but at least 0) and 1 + brightness.
      contrast: as ``brightness``.
      saturation: as ``brightness``.
      hue: turns are uniform between -hue and hue, at most 0.5.
      probability: share of the images that are changed.

    Returns:
      Images of the same shape.
    """
    _amounts(brightness, contrast, saturation, hue)
    b = len(images)
    factor_key, order_key, coin_key = jax.random.split(key, 3)
    low = [max(0.0, 1 - brightness), max(0.0, 1 - contrast), max(0.0, 1 - saturation), -hue]
    high = [1 + brightness, 1 + contrast, 1 + saturation, hue]
    factors = jax.random.uniform(factor_key, (b, 4), minval=jnp.array([low]), maxval=jnp.array([high]))
    # The rank is how many of the four draws are smaller: a permutation without a sort.
    draws = jax.random.uniform(order_key, (b, 4))
    earlier = draws[:, None, :] < draws[:, :, None]
    ties = (draws[:, None, :] == draws[:, :, None]) & jnp.tril(jnp.ones((1, 4, 4), bool), -1)
    order = jnp.sum(earlier | ties, axis=2, dtype=jnp.int32)
    return _checks.some(coin_key, probability, _jitter(images, factors, order, with_hue=hue > 0), images)


@_checks.on_images
def random_brightness(
    key: jax.Array, images: Float[Array, "b h w c"], *, amount: float = 0.4, probability: float = 1.0
) -> Float[Array, "b h w c"]:
    """Changes brightness by a factor uniform between 1 - amount (at least 0) and 1 + amount."""
    return _random_factor(brightness, key, images, amount, probability)


@_checks.on_images
def random_contrast(
    key: jax.Array, images: Float[Array, "b h w c"], *, amount: float = 0.4, probability: float = 1.0
) -> Float[Array, "b h w c"]:
    """Changes contrast by a factor uniform between 1 - amount (at least 0) and 1 + amount."""
    return _random_factor(contrast, key, images, amount, probability)


@_checks.on_images
def random_saturation(
    key: jax.Array, images: Float[Array, "b h w c"], *, amount: float = 0.4, probability: float = 1.0
) -> Float[Array, "b h w c"]:
    """Changes saturation by a factor uniform between 1 - amount (at least 0) and 1 + amount."""
    return _random_factor(saturation, key, images, amount, probability)


def _random_factor(operation, key, x, amount, probability):
    _checks.number("amount", amount, 0)
    draw_key, coin_key = jax.random.split(key)
    factor = _checks.uniform(draw_key, x, max(0.0, 1 - amount), 1 + amount)
    return _checks.some(coin_key, probability, operation(x, factor), x)


@_checks.on_images
def random_hue(
    key: jax.Array, images: Float[Array, "b h w c"], *, turn: float = 0.1, probability: float = 1.0
) -> Float[Array, "b h w c"]:
    """Changes hue by a turn uniform between -turn and turn, at most 0.5."""
    _checks.number("turn", turn, 0, 0.5)
    draw_key, coin_key = jax.random.split(key)
    return _checks.some(coin_key, probability, hue(images, _checks.uniform(draw_key, images, -turn, turn)), images)


@_checks.on_images
def random_greyscale(
    key: jax.Array, images: Float[Array, "b h w c"], *, probability: float = 0.2
) -> Float[Array, "b h w c"]:
    """Converts each image to greyscale with this probability."""
    return _checks.some(key, probability, greyscale(images), images)

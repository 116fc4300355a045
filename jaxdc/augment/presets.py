"""Augmentations as values: hashable, printable, callable ``(key, images) -> images``.

Each knows the plain view that belongs to it, of the same size and normalisation, which is embedded.
"""

from __future__ import annotations

import dataclasses
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.augment import _checks
from jaxdc.augment.color import random_color_jitter, random_greyscale
from jaxdc.augment.filters import random_cutout, random_gaussian_blur
from jaxdc.augment.geometry import mirrored, random_box, random_corner, resized_crop
from jaxdc.augment.pool import random_pool_operations
from jaxdc.augment.warp import random_rotation


@_checks.on_images
def normalize(
    images: Float[Array, "b h w c"], mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> Float[Array, "b h w c"]:
    """Subtracts a mean and divides by a standard deviation, both by channel; None leaves that out."""
    c = images.shape[-1]
    for name, value in (("mean", mean), ("std", std)):
        if value is not None and len(value) not in (1, c):
            raise ValueError(f"{name} must have one number, or one for each of {c} channels, but is {value}")
    x = images if mean is None else images - jnp.array(mean, jnp.float32)[None, None, None, :]
    return x if std is None else x / jnp.array(std, jnp.float32)[None, None, None, :]


def _check_statistics(preset):
    if preset.size is not None and preset.size < 1:
        raise ValueError(f"size must be at least 1, but is {preset.size}")
    if preset.std is not None and min(preset.std) <= 0:
        raise ValueError(f"std must be positive, but is {preset.std}")


def _coin(key, x, flip):
    return jax.random.bernoulli(key, 0.5, (len(x),)) if flip else jnp.zeros(len(x), bool)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Original:
    """Normalisation alone: the plain view, for features, prediction and pseudo-labels.

    Attributes:
      size: side of the result; None keeps the images'. The largest square in the centre is resized.
      centre: share of the side of that square that is kept, in its middle.
      mean: mean of each channel, subtracted; None subtracts nothing.
      std: standard deviation of each channel, divided by; None divides by nothing.
    """

    size: int | None = None
    centre: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        _check_statistics(self)
        _checks.interval("centre", (self.centre, 1.0), 1e-6)

    @property
    def plain(self) -> Original:
        """The plain view: this."""
        return self

    def __call__(self, key: jax.Array | None, images: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Returns the plain view of a batch of floats in [0, 1]; nothing is drawn."""
        images = _checks.images(images)
        h, w = images.shape[1:3]
        size = self.size or (min(h, w) if self.centre < 1 else None)
        if size is not None and (self.centre < 1 or (h, w) != (size, size)):
            side = self.centre * min(h, w)
            box = jnp.array([(h - side) / 2, (w - side) / 2, side, side], jnp.float32)
            images = resized_crop(images, jnp.tile(box, (len(images), 1)), size)
        return normalize(images, self.mean, self.std)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Weak:
    """Random resized crop, flip, colour jitter and grey: SimCLR's views (Chen et al., 2020, arXiv 2002.05709).

    The defaults are SCAN's pretext recipe (Van Gansbeke et al., 2020, arXiv 2005.12320). SimCLR itself crops from
    0.08 and on CIFAR-10 has these jitters (its strength 0.5). CC takes the same on CIFAR at 224 pixels;
    on STL-10 and ImageNet subsets it jitters by (0.8, 0.8, 0.8, 0.2), and on the latter blurs with
    probability 0.5. IDFD has no flip and no hue: ``flip=False, jitter=(0.4, 0.4, 0.4, 0.0)``. The order of
    the four jitters is drawn for each image. On greyscale sets brightness and contrast alone act.

    Attributes:
      size: side of the result; None keeps the images'.
      crop: smallest and largest share of the area that is cut out and resized.
      ratio: smallest and largest width / height of what is cut out.
      flip: mirror left and right with probability 0.5.
      jitter: amounts of brightness, contrast and saturation (factors from 1 - amount to 1 + amount), and of
        hue (a turn of up to that, either way).
      jitter_probability: share of the images whose colours are jittered.
      greyscale_probability: share of the images that lose their colour.
      blur_probability: share of the images that are blurred.
      blur_sigma: smallest and largest standard deviation of the blur, in pixels.
      mean: mean of each channel, subtracted at the end; None subtracts nothing.
      std: standard deviation of each channel, divided by; None divides by nothing.
    """

    size: int | None = None
    crop: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_probability: float = 0.8
    greyscale_probability: float = 0.2
    blur_probability: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        _check_statistics(self)
        _checks.interval("crop", self.crop, 0, 1)
        _checks.interval("ratio", self.ratio, 1e-6)
        _checks.interval("blur_sigma", self.blur_sigma, 1e-3)
        if len(self.jitter) != 4 or min(self.jitter) < 0 or self.jitter[3] > 0.5:
            raise ValueError(
                f"jitter must be four numbers of at least 0, the last at most 0.5, but is {self.jitter}"
            )
        for name in ("jitter_probability", "greyscale_probability", "blur_probability"):
            _checks.number(name, getattr(self, name), 0, 1)

    @property
    def plain(self) -> Original:
        """The plain view of this size and normalisation."""
        return Original(size=self.size, mean=self.mean, std=self.std)

    def __call__(self, key: jax.Array, images: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Returns a weak view of a batch of floats in [0, 1]."""
        return _weak(key, images, self)


@_checks.on_images
def _weak(key, images, preset):
    box_key, flip_key, jitter_key, grey_key, blur_key = jax.random.split(key, 5)
    box = random_box(box_key, images, scale=preset.crop, ratio=preset.ratio)
    box = mirrored(box, _coin(flip_key, images, preset.flip))
    x = resized_crop(images, box, preset.size)
    # Weights sum to 1 up to rounding.
    x = jnp.clip(x, 0, 1)
    if preset.jitter_probability > 0 and max(preset.jitter) > 0:
        amounts = dict(zip(("brightness", "contrast", "saturation", "hue"), preset.jitter, strict=True))
        x = random_color_jitter(jitter_key, x, **amounts, probability=preset.jitter_probability)
    if preset.greyscale_probability > 0:
        x = random_greyscale(grey_key, x, probability=preset.greyscale_probability)
    if preset.blur_probability > 0:
        x = random_gaussian_blur(blur_key, x, sigma=preset.blur_sigma, probability=preset.blur_probability)
    return normalize(x, preset.mean, preset.std)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Strong:
    """Window and flip, operations drawn from a pool of fourteen, and Cutout: SCAN's strong views.

    Van Gansbeke et al., 2020, arXiv 2005.12320: four operations, Cutout of up to 16 pixels (STL-10 32). The
    lecture takes eight operations. As in SCAN's released code the side of the square is drawn from 1 up (the
    paper names only the largest; (16, 16) fixes it) and the square is 0 after normalisation: the mean colour
    where ``mean`` is given, black where it is not. Differs from it in: shears leave the centre where it is,
    not the corner.

    Attributes:
      size: side of the result; None keeps the images'.
      crop: None cuts a window of that size at a random place; a smallest and largest share of the area
        cuts and resizes as Weak does.
      ratio: smallest and largest width / height of what is cut out and resized.
      flip: mirror left and right with probability 0.5.
      n_ops: operations drawn for each image.
      cutout: smallest and largest side of the square that is cut out; None cuts none.
      mean: mean of each channel, subtracted before the square is cut out; None subtracts nothing.
      std: standard deviation of each channel, divided by; None divides by nothing.
    """

    size: int | None = None
    crop: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    n_ops: int = 4
    cutout: tuple[int, int] | None = (1, 16)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        _check_statistics(self)
        if self.crop is not None:
            _checks.interval("crop", self.crop, 0, 1)
        _checks.interval("ratio", self.ratio, 1e-6)
        _checks.number("n_ops", self.n_ops, 0)
        if self.cutout is not None:
            _checks.interval("cutout", self.cutout, 0)

    @property
    def plain(self) -> Original:
        """The plain view of this size and normalisation."""
        return Original(size=self.size, mean=self.mean, std=self.std)

    def __call__(self, key: jax.Array, images: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Returns a strong view of a batch of floats in [0, 1]."""
        return _strong(key, images, self)


@_checks.on_images
def _strong(key, images, preset):
    box_key, flip_key, pool_key, cutout_key = jax.random.split(key, 4)
    if preset.crop is None:
        corner = random_corner(box_key, images, size=preset.size).astype(jnp.float32)
        sides = jnp.array([_checks.output_size(preset.size, images)], jnp.float32)
        box = jnp.concatenate([corner, jnp.broadcast_to(sides, corner.shape)], axis=1)
    else:
        box = random_box(box_key, images, scale=preset.crop, ratio=preset.ratio)
    x = resized_crop(images, mirrored(box, _coin(flip_key, images, preset.flip)), preset.size)
    x = random_pool_operations(pool_key, jnp.clip(x, 0, 1), n_ops=preset.n_ops)
    x = normalize(x, preset.mean, preset.std)
    return x if preset.cutout is None else random_cutout(cutout_key, x, side=preset.cutout)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits:
    """Rotation, square crops and brightness, for handwriting: no mirror image, no change of colour.

    The perturbed views of IIC on MNIST, as in its released code (Ji et al., 2019, arXiv 1807.06653): half of the
    images turn by up to 25 degrees, and a square of 16, 20 or 24 of 28 pixels is cut out and resized.

    Attributes:
      size: side of the result; None keeps the images'.
      crops: sides of the squares that are cut out, as shares of the shorter side; one is drawn for each image, and
        a place for it. The plain view is a square of the middle one, in the centre.
      degrees: largest turn, either way.
      rotation_probability: share of the images that turn.
      jitter: amounts of brightness and contrast (factors from 1 - amount to 1 + amount).
      mean: mean of each channel, subtracted at the end; None subtracts nothing.
      std: standard deviation of each channel, divided by; None divides by nothing.
    """

    size: int | None = None
    crops: tuple[float, ...] = (16 / 28, 20 / 28, 24 / 28)
    degrees: float = 25.0
    rotation_probability: float = 0.5
    jitter: tuple[float, float] = (0.4, 0.4)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        _check_statistics(self)
        if not self.crops:
            raise ValueError("crops must be one share of the side or more, but there is none")
        for share in self.crops:
            _checks.interval("crops", (share, 1.0), 1e-6)
        _checks.number("degrees", self.degrees, 0, 360)
        _checks.number("rotation_probability", self.rotation_probability, 0, 1)
        if len(self.jitter) != 2 or min(self.jitter) < 0:
            raise ValueError(f"jitter must be two numbers of at least 0, but is {self.jitter}")

    @property
    def plain(self) -> Original:
        """The plain view: the middle of the image, as large as the middle one of the crops."""
        middle = sorted(self.crops)[len(self.crops) // 2]
        return Original(size=self.size, centre=middle, mean=self.mean, std=self.std)

    def __call__(self, key: jax.Array, images: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Returns a view of a batch of floats in [0, 1]."""
        return _digits(key, images, self)


@_checks.on_images
def _digits(key, images, preset):
    turn_key, side_key, place_key, jitter_key = jax.random.split(key, 4)
    x = images
    if preset.rotation_probability > 0 and preset.degrees > 0:
        x = random_rotation(turn_key, x, degrees=preset.degrees, probability=preset.rotation_probability)
    b, h, w, _ = x.shape
    side = min(h, w) * jax.random.choice(side_key, jnp.array(preset.crops, jnp.float32), (b,))
    room = jnp.array([[h, w]], jnp.float32) - side[:, None]
    corner = room * jax.random.uniform(place_key, (b, 2))
    box = jnp.concatenate([corner, side[:, None], side[:, None]], axis=1)
    x = jnp.clip(resized_crop(x, box, preset.size or min(h, w)), 0, 1)
    if max(preset.jitter) > 0:
        brightness, contrast = preset.jitter
        x = random_color_jitter(jitter_key, x, brightness=brightness, contrast=contrast, saturation=0.0, hue=0.0)
    return normalize(x, preset.mean, preset.std)

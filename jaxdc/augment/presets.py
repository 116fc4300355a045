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
from jaxdc.augment.tone import random_solarize
from jaxdc.augment.warp import affine, affine_matrix, random_rotation


@_checks.on_images
def normalize(
    images: Float[Array, "b h w c"], mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> Float[Array, "b h w c"]:
    """Subtracts a mean and divides by a standard deviation, per channel; None skips either."""
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
    """Only normalisation: the plain view, for features, prediction and pseudo-labels.

    Attributes:
      size: side of the result; None keeps the images' size. The largest central square is resized.
      centre: share of the side of that square that is kept, in its middle.
      mean: mean of each channel, to subtract; None skips it.
      std: standard deviation of each channel, to divide by; None skips it.
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
        """Returns the plain view of a batch of floats in [0, 1]; nothing is random."""
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
    """Random resized crop, flip, colour jitter and greyscale: SimCLR's views.

    The defaults are SCAN's pretext recipe (Van Gansbeke et al., 2020, arXiv 2005.12320). SimCLR itself (Chen et
    al., 2020, arXiv 2002.05709) crops from 0.08, and uses these jitters on CIFAR-10 (its strength 0.5). CC uses
    the same on CIFAR at 224 pixels; on STL-10 and ImageNet subsets it jitters by (0.8, 0.8, 0.8, 0.2), and on the
    latter also blurs with probability 0.5. IDFD has no flip and no hue: ``flip=False, jitter=(0.4, 0.4, 0.4,
    0.0)``. The order of the four jitters is drawn for each image. On greyscale images only brightness and contrast
    have an effect.

    Attributes:
      size: side of the result; None keeps the images' size.
      crop: smallest and largest share of the area to crop and resize.
      ratio: smallest and largest width / height of the crop.
      flip: mirror left and right with probability 0.5.
      jitter: amounts of brightness, contrast and saturation (factors from 1 - amount to 1 + amount), and of
        hue (turns between minus and plus the amount).
      jitter_probability: share of the images with colour jitter.
      greyscale_probability: share of the images converted to greyscale.
      blur_probability: share of the images that are blurred.
      blur_sigma: smallest and largest standard deviation of the blur, in pixels.
      solarize_probability: share of the images whose values above one half are inverted, as in BYOL's second view.
      mean: mean of each channel, to subtract at the end; None skips it.
      std: standard deviation of each channel, to divide by; None skips it.
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
    solarize_probability: float = 0.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        _check_statistics(self)
        _checks.interval("crop", self.crop, 0, 1)
        _checks.interval("ratio", self.ratio, 1e-6)
        _checks.interval("blur_sigma", self.blur_sigma, 1e-3)
        if len(self.jitter) != 4 or min(self.jitter) < 0 or self.jitter[3] > 0.5:
            raise ValueError(
                f"jitter must be four non-negative numbers, the last at most 0.5, but is {self.jitter}"
            )
        for name in ("jitter", "greyscale", "blur", "solarize"):
            _checks.number(f"{name}_probability", getattr(self, f"{name}_probability"), 0, 1)

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
    if preset.solarize_probability > 0:
        solarize_key = jax.random.fold_in(blur_key, 1)
        x = random_solarize(solarize_key, x, threshold=(0.5, 0.5), probability=preset.solarize_probability)
    return normalize(x, preset.mean, preset.std)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Strong:
    """Crop and flip, operations drawn from a pool of fourteen, and Cutout: SCAN's strong views.

    Van Gansbeke et al., 2020, arXiv 2005.12320: four operations, and Cutout of up to 16 pixels (STL-10: 32). The
    lecture uses eight operations. As in SCAN's released code, the side of the square is drawn from 1 up (the
    paper gives only the largest; (16, 16) fixes it), and the square is 0 after normalisation: the mean colour
    if ``mean`` is given, black otherwise. Differs from the code in: shears keep the centre in place instead of
    the corner.

    Attributes:
      size: side of the result; None keeps the images' size.
      crop: None crops a window of that size at a random place; a smallest and largest share of the area
        crops and resizes as in ``Weak``.
      ratio: smallest and largest width / height of the resized crop.
      flip: mirror left and right with probability 0.5.
      n_ops: number of operations per image.
      cutout: smallest and largest side of the Cutout square; None disables it.
      mean: mean of each channel, to subtract before Cutout; None skips it.
      std: standard deviation of each channel, to divide by; None skips it.
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

    @property
    def of_pretext(self) -> Weak:
        """The views that a network is pre-trained with, before it learns from these."""
        return Weak(size=self.size, flip=self.flip, mean=self.mean, std=self.std)

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
      size: side of the result; None keeps the images' size.
      crops: sides of the squares that are cut out, as shares of the shorter side; one is drawn for each image, and
        a place for it. The plain view is a square of the middle one, in the centre.
      degrees: largest turn, either way.
      rotation_probability: share of the images that turn.
      jitter: amounts of brightness and contrast (factors from 1 - amount to 1 + amount).
      mean: mean of each channel, to subtract at the end; None skips it.
      std: standard deviation of each channel, to divide by; None skips it.
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


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Shifted:
    """Small turns, moves and zooms, and a shift of each channel's values: the views of DAC.

    The defaults are those of DAC's released code (Chang et al., ICCV 2017), which mirrors images on sets of
    photographs alone. What comes in from outside is black. Differs from it in: a zoom keeps the shape of things.

    Attributes:
      size: side of the result; None keeps the images' size.
      degrees: largest turn, either way.
      shift: largest move, as a share of the height and of the width, either way.
      zoom: smallest and largest factor by which the content grows.
      channel_shift: largest number that is added to a channel, either way.
      flip: mirror left and right with probability 0.5; None: images of three channels alone.
      mean: mean of each channel, to subtract at the end; None skips it.
      std: standard deviation of each channel, to divide by; None skips it.
    """

    size: int | None = None
    degrees: float = 10.0
    shift: float = 0.1
    zoom: tuple[float, float] = (0.95, 1.05)
    channel_shift: float = 0.05
    flip: bool | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        _check_statistics(self)
        _checks.number("degrees", self.degrees, 0, 360)
        _checks.number("shift", self.shift, 0, 1)
        _checks.interval("zoom", self.zoom, 1e-3)
        _checks.number("channel_shift", self.channel_shift, 0, 1)

    @property
    def plain(self) -> Original:
        """The plain view of this size and normalisation."""
        return Original(size=self.size, mean=self.mean, std=self.std)

    def __call__(self, key: jax.Array, images: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Returns a view of a batch of floats in [0, 1]."""
        return _shifted(key, images, self)


@_checks.on_images
def _shifted(key, images, preset):
    keys = jax.random.split(key, 5)
    x = images if preset.size is None else Original(size=preset.size)(None, images)
    b, h, w, c = x.shape
    flip = c == 3 if preset.flip is None else preset.flip
    radians = jnp.deg2rad(_checks.uniform(keys[0], x, -preset.degrees, preset.degrees))
    zoom = _checks.uniform(keys[1], x, *preset.zoom)[:, None, None]
    moves = jax.random.uniform(keys[2], (b, 2), minval=-preset.shift, maxval=preset.shift)
    turns = affine_matrix(radians, jnp.zeros((b, 2)), jnp.zeros((b, 2)))[:, :, :2] / zoom
    turns = jnp.where(_coin(keys[3], x, flip)[:, None, None], turns * jnp.array([[[1.0], [-1.0]]]), turns)
    x = affine(x, jnp.concatenate([turns, -(moves * jnp.array([[h, w]], jnp.float32))[:, :, None]], axis=2))
    if preset.channel_shift > 0:
        limit = preset.channel_shift
        x = jnp.clip(x + jax.random.uniform(keys[4], (b, 1, 1, c), minval=-limit, maxval=limit), 0, 1)
    return normalize(x, preset.mean, preset.std)

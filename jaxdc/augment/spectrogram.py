"""Views of spectrograms: masks and small moves along time and frequency."""

from __future__ import annotations

import dataclasses
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxdc.augment import _checks
from jaxdc.augment.geometry import resample
from jaxdc.augment.presets import Original, normalize


@_checks.on_images
def moved(
    images: Float[Array, "b h w c"], shift: Float[Array, "b 2"], factor: Float[Array, "b 2"]
) -> Float[Array, "b h w c"]:
    """Moves and stretches each spectrogram along its axes; the values at the edges go on outside.

    Bilinear, without anti-aliasing.

    Args:
      images: ``[b, bands, frames, c]``.
      shift: bands down and frames to the right ``[b, 2]``.
      factor: stretch of the content along either axis, about its middle ``[b, 2]``, > 0.

    Returns:
      Spectrograms of the same shape.
    """
    shift = _checks.per_sample("shift", shift, images, 2)
    factor = _checks.per_sample("factor", factor, images, 2)
    weights = []
    for axis, n in enumerate(images.shape[1:3]):
        extent = n / factor[:, axis]
        start = (n - extent) / 2 - shift[:, axis] / factor[:, axis]
        weights.append(_held_at_edges(start, extent, n))
    return resample(images, weights[0], weights[1])


@_checks.on_images
def masked(
    images: Float[Array, "b h w c"],
    start: Float[Array, " b"],
    width: Float[Array, " b"],
    *,
    axis: int,
    fill: float = 0.5,
) -> Float[Array, "b h w c"]:
    """Fills a stretch of bands or of frames with one value.

    SpecAugment's mask (Park et al., 2019, arXiv 1904.08779, section 2).

    Args:
      images: ``[b, bands, frames, c]``.
      start: first of the masked rows or columns ``[b]``.
      width: their number ``[b]``.
      axis: 1 masks bands, 2 masks frames.
      fill: value that they get.

    Returns:
      Spectrograms of the same shape.
    """
    if axis not in (1, 2):
        raise ValueError(f"axis must be 1 (bands) or 2 (frames), but is {axis}")
    start = _checks.per_sample("start", start, images)[:, None]
    width = _checks.per_sample("width", width, images)[:, None]
    place = jnp.arange(images.shape[axis], dtype=jnp.float32)[None]
    hidden = (place >= start) & (place < start + width)
    return jnp.where(hidden[:, :, None, None] if axis == 1 else hidden[:, None, :, None], fill, images)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Spectrogram:
    """Masks, and moves in time and frequency: views of sounds, never mirrored.

    Masks are SpecAugment's (Park et al., 2019, arXiv 1904.08779): stretches of frames and of bands, of a width
    drawn from 0 up, get the value ``fill``. Before them the time axis is stretched and shifted, as if it were
    said faster or a moment later, and the frequency axis as if a longer or shorter vocal tract had said it (nearly
    the perturbation of Jaitly and Hinton, 2013). Then noise is added. All of it is drawn for each sample.

    Attributes:
      size: None: a spectrogram keeps its size.
      time_masks: number of masked stretches of frames.
      time_width: their largest width, as a share of the frames.
      frequency_masks: number of masked stretches of bands.
      frequency_width: their largest width, as a share of the bands.
      time_stretch: smallest and largest factor on the duration, drawn uniformly on a logarithmic scale.
      time_shift: largest shift in time, as a share of the frames, either way.
      frequency_stretch: smallest and largest factor on the frequency axis, likewise.
      frequency_shift: largest shift, in bands, either way.
      noise: largest standard deviation of the noise, which is drawn from 0 up; a deviation of a normalized
        recording is 1/8.
      fill: value under the masks; 0.5 is the mean of a normalized recording.
      mean: value to subtract at the end; None skips it.
      std: value to divide by; None skips it.
    """

    size: int | None = None
    time_masks: int = 2
    time_width: float = 1 / 8
    frequency_masks: int = 2
    frequency_width: float = 1 / 8
    time_stretch: tuple[float, float] = (0.8, 1.25)
    time_shift: float = 0.1
    frequency_stretch: tuple[float, float] = (0.9, 1.1)
    frequency_shift: float = 2.0
    noise: float = 0.05
    fill: float = 0.5
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        if self.size is not None:
            raise ValueError(f"a spectrogram keeps its size: size must be None, but is {self.size}")
        for name in ("time_masks", "frequency_masks", "frequency_shift", "noise"):
            _checks.number(name, getattr(self, name), 0)
        for name in ("time_width", "frequency_width", "time_shift", "fill"):
            _checks.number(name, getattr(self, name), 0, 1)
        for name in ("time_stretch", "frequency_stretch"):
            _checks.interval(name, getattr(self, name), 1e-3)
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std must be positive, but is {self.std}")

    @property
    def plain(self) -> Original:
        """The plain view of this normalisation."""
        return Original(mean=self.mean, std=self.std)

    @property
    def of_pretext(self) -> Spectrogram:
        """The views that a network is pre-trained with, before it learns from these: the same."""
        return self

    def __call__(self, key: jax.Array, images: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Returns a view of a batch of spectrograms ``[b, bands, frames, c]`` with values in [0, 1]."""
        return _spectrogram(key, images, self)


@_checks.on_images
def _spectrogram(key, images, preset):
    shift_key, factor_key, time_key, frequency_key, scale_key, noise_key = jax.random.split(key, 6)
    b, _, w, _ = images.shape
    most = jnp.array([[preset.frequency_shift, preset.time_shift * w]], jnp.float32)
    shift = most * jax.random.uniform(shift_key, (b, 2), minval=-1, maxval=1)
    low, high = jnp.log(jnp.array([preset.frequency_stretch, preset.time_stretch], jnp.float32)).T[:, None]
    factor = jnp.exp(low + (high - low) * jax.random.uniform(factor_key, (b, 2)))
    x = moved(images, shift, factor)
    if preset.noise > 0:
        scale = preset.noise * jax.random.uniform(scale_key, (b, 1, 1, 1))
        x = jnp.clip(x + scale * jax.random.normal(noise_key, x.shape), 0, 1)
    x = _with_masks(frequency_key, x, 1, preset.frequency_masks, preset.frequency_width, preset.fill)
    x = _with_masks(time_key, x, 2, preset.time_masks, preset.time_width, preset.fill)
    return normalize(x, preset.mean, preset.std)


def _with_masks(key, x, axis, n, widest, fill):
    size = x.shape[axis]
    for one in jax.random.split(key, n):
        width_key, start_key = jax.random.split(one)
        width = jax.random.randint(width_key, (len(x),), 0, round(widest * size) + 1)
        start = jnp.floor(jax.random.uniform(start_key, (len(x),)) * (size - width + 1))
        x = masked(x, start, width, axis=axis, fill=fill)
    return x


def _held_at_edges(start, extent, n):
    """Interpolation weights ``[b, n, n]`` where positions outside take the value at the edge."""
    step = (extent / n)[:, None]
    pixel = jnp.arange(n, dtype=jnp.float32) + 0.5
    place = jnp.clip(start[:, None] + pixel[None] * step, 0.5, n - 0.5)
    return jnp.maximum(0, 1 - jnp.abs(pixel[None, None] - place[:, :, None]))

"""Log-mel spectrograms of one size, with values from 0 to 1."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, final

import numpy as np

from jaxdc.errors import InputError

WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.01
LOWEST_HZ = 20.0
FLOOR_DB = -100.0  # below the power of a constant at full scale
DEVIATIONS = 4.0  # from the mean of a band to black, and to white
LEAST_STD_DB = 0.01
LOWEST_RATE = 1000


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMel:
    """How a recording becomes a picture: bands of frequency from top (high) to bottom, time from left to right.

    Power spectra of Hann windows of 25 ms every 10 ms are weighted by ``n_mels`` triangles, evenly spaced on the
    mel scale 2595 log10(1 + f / 700) from 20 Hz to half the rate, and expressed in decibels below full scale, with
    a floor of -100 dB. The time axis is brought to ``n_frames``. Then each band of each recording is brought to
    mean 0 and variance 1, and four deviations either way are mapped to 0 and 1. Without this, clusters follow
    speakers, microphones and loudness rather than words.

    Attributes:
      rate: samples per second to which recordings are resampled; None: the lowest among them, at most 16,000.
      n_mels: number of bands.
      n_frames: number of columns of the result.
      fit: how the time axis gets this length. "stretch": the whole recording is resized, linearly with
        anti-aliasing, for words and other events. "middle": the middle ``n_frames`` frames, at their own speed,
        with silence around a shorter recording, for scenes and textures.
      normalized: bring each band of each recording to mean 0 and variance 1; otherwise -100 dB is mapped to 0 and
        full scale to 1.
    """

    rate: int | None = None
    n_mels: int = 40
    n_frames: int = 32
    fit: Literal["stretch", "middle"] = "stretch"
    normalized: bool = True

    def __post_init__(self):
        if self.rate is not None and self.rate < LOWEST_RATE:
            raise InputError(f"recordings need a rate of at least {LOWEST_RATE:,} Hz, but it is {self.rate}")
        for name, least in (("n_mels", 2), ("n_frames", 2)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, but is {getattr(self, name)}")
        if self.fit not in ("stretch", "middle"):
            raise InputError(f"recordings fit by 'stretch' or 'middle', not by {self.fit!r}")

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """The spectrogram float32 ``[n_mels, n_frames, 1]`` of samples ``[n]`` at this rate."""
        if self.fit == "middle":
            window, hop = _window_and_hop(rate)
            samples = middle(samples, window + (self.n_frames - 1) * hop)
        x = decibels(samples, rate, self.n_mels)
        x = _padded(x, self.n_frames) if self.fit == "middle" else x @ stretching(x.shape[1], self.n_frames)
        if self.normalized:
            deviation = x.std(axis=1, keepdims=True) + LEAST_STD_DB
            x = 0.5 + (x - x.mean(axis=1, keepdims=True)) / deviation / (2 * DEVIATIONS)
        else:
            x = 1 - x / FLOOR_DB
        return np.clip(x, 0, 1)[::-1, :, None].astype(np.float32)


def decibels(samples: np.ndarray, rate: int, n_mels: int) -> np.ndarray:
    """The log-mel spectrogram ``[n_mels, n_windows]`` in decibels, low bands first.

    Samples shorter than a window are padded with zeros to one; what is left at the end, shorter than a hop, is cut
    off.
    """
    from scipy.signal import get_window

    window, hop = _window_and_hop(rate)
    filters = mel_filters(rate, n_mels)
    shape = np.asarray(get_window("hann", window))
    x = np.pad(samples.astype(np.float64), (0, max(window - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]
    spectra = np.fft.rfft(frames * shape, n=2 * (filters.shape[1] - 1))
    power = (spectra.real**2 + spectra.imag**2) / shape.sum() ** 2
    return 10 * np.log10(filters @ power.T + 10 ** (FLOOR_DB / 10))


@functools.cache
def mel_filters(rate: int, n_mels: int) -> np.ndarray:
    """Triangles with peak 1 over the bins of an FFT ``[n_mels, n_bins]``, low bands first.

    The length of the FFT is the lowest power of 2 that holds a window of 25 ms and leaves no band without a bin.
    """

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = 700 * (10 ** (np.linspace(mel(LOWEST_HZ), mel(rate / 2), n_mels + 2) / 2595) - 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    n_fft = 1 << (_window_and_hop(rate)[0] - 1).bit_length()
    while True:
        bins = np.arange(n_fft // 2 + 1) * (rate / n_fft)
        filters = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
        if filters.any(axis=1).all():
            return filters
        n_fft *= 2


@functools.lru_cache(256)
def stretching(n_in: int, n_out: int) -> np.ndarray:
    """The matrix ``[n_in, n_out]`` that resizes a time axis linearly, with anti-aliasing where it shrinks."""
    step = n_in / n_out
    centre = (np.arange(n_out) + 0.5) * step
    distance = np.abs(np.arange(n_in)[:, None] + 0.5 - centre)
    weights = np.maximum(0, 1 - distance / max(step, 1))
    return weights / weights.sum(axis=0)


def middle(samples: np.ndarray, n: int) -> np.ndarray:
    """The middle ``n`` samples, or all if there are fewer."""
    start = max((len(samples) - n) // 2, 0)
    return samples[start : start + n]


def _window_and_hop(rate: int) -> tuple[int, int]:
    return round(WINDOW_SECONDS * rate), round(HOP_SECONDS * rate)


def _padded(x: np.ndarray, n_frames: int) -> np.ndarray:
    missing = n_frames - x.shape[1]
    return np.pad(x, ((0, 0), (missing // 2, missing - missing // 2)), constant_values=FLOOR_DB)

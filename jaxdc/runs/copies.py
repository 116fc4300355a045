"""Ahead-of-time augmentation: images with augmented copies, which are trained on but never reported."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from jaxdc import augment
from jaxdc.data import ArraySource, Source
from jaxdc.errors import InputError
from jaxdc.methods.base import Method
from jaxdc.settings import integer

STREAM = 0x636F7079  # separates the random stream of the copies from that of training, which has the same seed


class WithCopies(ArraySource):
    """Images followed by the first copy of each, then the second, and so on.

    Args:
      source: the original images.
      x: the images with their copies.
      augmentation: the augmentation that made the copies.
    """

    def __init__(self, source: Source, x: np.ndarray, augmentation: augment.Augmentation):
        n_copies = len(x) // source.n_samples - 1
        super().__init__(
            x,
            source.labels,
            sample_names=source.sample_names,
            name=source.name,
            protocol=f"{source.protocol} and {n_copies} augmented copies of each",
            n_reported=source.n_reported or source.n_samples,
        )
        self.opened, self.understood, self.divisors = source.opened, source.understood, source.divisors
        self.sounds, self.offset = source.sounds, source.offset
        self._source, self.n_copies, self._augmentation = source, n_copies, augmentation

    @property
    def description(self) -> dict[str, Any]:
        """The entry about the copies in ``config.json``."""
        name = getattr(self._augmentation, "__name__", None)
        return {"n_copies": self.n_copies, "augmentation": name or repr(self._augmentation)}

    def fingerprint(self):
        # Copies may differ by rounding between machines, yet the run is the same.
        return self._source.fingerprint()

    def rms(self):
        return self._source.rms()


def with_copies(source: Source, method: Method, n_copies: int, *, seed: int, resident_bytes: int) -> WithCopies:
    """Adds augmented copies to a source.

    Args:
      source: images in memory.
      method: method whose augmentation makes the copies.
      n_copies: number of copies of each image.
      seed: random seed of the augmentation.
      resident_bytes: most bytes that images and copies may take.

    Raises:
      InputError: the samples are not images, or the copies don't fit.
    """
    integer("copies", n_copies, at_least=0)
    if len(source.shape) != 3 or source.shape[2] not in (1, 3):
        raise InputError(
            f"copies need images with 1 or 3 channels, but a sample of {source.name} has shape  "
            f"{list(source.shape)}"
        )
    images = source.array
    if images is None or images.nbytes * (n_copies + 1) > resident_bytes:
        raise InputError(
            f"{source.name} with {n_copies} copies of each image does not fit in {resident_bytes / 2**30:g} GiB: "
            "make fewer copies, or raise --resident-gib"
        )
    as_bytes = images.dtype == np.uint8
    if not as_bytes and not 0 <= images.min() <= images.max() <= 1:
        raise InputError(
            f"copies need images within 0 and 1, but {source.name} has values from {images.min():g} to "
            f"{images.max():g}"
        )
    augmentation, n = augmentation_of(method, source.shape[2]), len(images)
    key = jax.random.fold_in(jax.random.key(seed), STREAM)
    x = np.empty((n * (n_copies + 1), *images.shape[1:]), images.dtype)
    x[:n] = images
    for i in range(1, n_copies + 1):
        made = augment.expand(jax.random.fold_in(key, i), images, augmentation, 1).images
        x[n * i : n * (i + 1)] = np.clip(np.round(made * 255), 0, 255) if as_bytes else made
    return WithCopies(source, x, augmentation)


def augmentation_of(method: Any, n_channels: int) -> augment.Augmentation:
    """The views that the method learns from, or its shifts and rotations if it has those, or else weak ones."""
    if isinstance(getattr(method, "augmentation", None), augment.Weak):
        # The method resizes and normalises the images itself.
        return dataclasses.replace(method.augmentation, size=None, mean=None, std=None)
    if hasattr(method, "augment"):
        return augment.random_rotate_shift
    # Single-channel images are mostly handwriting or similar, where a mirror image means something else.
    return augment.Weak() if n_channels == 3 else augment.Weak(flip=False, greyscale_probability=0.0)

"""A base of methods that have other views of handwriting: a mirrored 2 is no digit."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from jaxdc import augment
from jaxdc.methods.base import DataSpec
from jaxdc.methods.parts import two_views


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handwriting(two_views.TwoViews):
    """A method on augmented views, with an augmentation for handwriting besides.

    Attributes:
      augmentation: augmentation of the views, for images other than handwriting.
      digits: augmentation for handwriting.
      handwriting: whether images are handwriting, which is never mirrored; None: if they have one channel.
    """

    augmentation: Any = augment.Weak()
    digits: augment.Digits = augment.Digits()
    handwriting: bool | None = None

    def is_handwriting(self, channels: int) -> bool:
        """Whether images of so many channels are handwriting."""
        return channels == 1 if self.handwriting is None else self.handwriting

    def preset(self, channels: int) -> Any:
        """The augmentation of images with so many channels."""
        return self.digits if self.is_handwriting(channels) else self.augmentation

    def side(self, spec: DataSpec) -> int:
        """Side length of the views. Raises InputError if there are none of such samples."""
        return two_views.check_views(spec, dataclasses.replace(self, augmentation=self.preset(spec.shape[-1])))

    def plain(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> the view to embed: nothing drawn."""
        return self.preset(x.shape[-1]).plain(None, x)

    def views(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """Two views of each image, next to each other: [b, h, w, c] -> [2b, h, w, c]."""
        return two_views.side_by_side(*augment.two_views(key, x, self.preset(x.shape[-1])))

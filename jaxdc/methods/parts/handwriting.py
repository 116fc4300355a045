"""Two bases: views of images that may be handwriting, and several of them beside the plain one."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxdc import augment
from jaxdc.methods.base import DataSpec, field
from jaxdc.methods.parts import two_views


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handwriting(two_views.TwoViews):
    """A method with one augmentation for handwriting, where a mirrored 2 is no digit, and one for other images.

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
        """Side length of the views; refuses what is no image, as ``two_views.check_views`` does."""
        views = dataclasses.replace(self, augmentation=self.preset(spec.shape[-1]))
        return two_views.check_views(spec, views)

    def plain(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> the view to embed: nothing drawn."""
        return self.preset(x.shape[-1]).plain(None, x)

    def perturbed(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> a perturbed view of each image."""
        return self.preset(x.shape[-1])(key, x)

    def views(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """Two views of each image, next to each other: [b, h, w, c] -> [2b, h, w, c]."""
        return two_views.side_by_side(*augment.two_views(key, x, self.preset(x.shape[-1])))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepeatedViews(Handwriting):
    """A method that compares each image with several perturbed views of it.

    Attributes:
      augmentation: augmentation of the perturbed views, for images other than handwriting.
      repeats: perturbed views of each image in a batch, r.
    """

    augmentation: augment.Weak = augment.Weak()
    repeats: int = field(3, at_least=1)

    def repeated_views(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b (1 + r), ...]: the plain view of each image, then its r perturbed ones."""
        plain = self.plain(x)
        perturbed = self.perturbed(key, jnp.repeat(x, self.repeats, axis=0))
        perturbed = perturbed.reshape(len(x), self.repeats, *plain.shape[1:])
        return jnp.concatenate([plain[:, None], perturbed], axis=1).reshape(-1, *plain.shape[1:])

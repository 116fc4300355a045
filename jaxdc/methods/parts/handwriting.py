"""Two bases: views of images that may be handwriting, and several of them beside the plain one."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxdc import augment
from jaxdc.methods.base import DataSpec, field
from jaxdc.methods.parts import two_views


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandwritingViews(two_views.TwoViews):
    """A method with one augmentation for handwriting and one for other images.

    Attributes:
      augmentation: augmentation of the perturbed views, for images other than handwriting.
      digits: augmentation for handwriting.
      handwriting: whether images are handwriting, which is never mirrored; None: if they have one channel.
    """

    augmentation: augment.Weak = augment.Weak()
    digits: augment.Digits = augment.Digits()
    handwriting: bool | None = None

    def preset(self, channels: int) -> augment.Weak | augment.Digits:
        """The augmentation of images with so many channels."""
        handwriting = channels == 1 if self.handwriting is None else self.handwriting
        return self.digits if handwriting else self.augmentation

    def side(self, spec: DataSpec) -> int:
        """Side length of the views; refuses what is no image, as ``two_views.check_views`` does."""
        views = dataclasses.replace(self, augmentation=self.preset(spec.shape[-1]))
        return two_views.check_views(spec, views)

    def plain(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> what is embedded: nothing drawn."""
        return self.preset(x.shape[-1]).plain(None, x)

    def perturbed(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> a perturbed view of each image."""
        return self.preset(x.shape[-1])(key, x)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepeatedViews(HandwritingViews):
    """A method that compares each image with several perturbed views of it.

    Attributes:
      repeats: perturbed views of each image in a batch, r.
    """

    repeats: int = field(3, at_least=1)

    def repeated_views(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b (1 + r), ...]: the plain view of each image, then its r perturbed ones."""
        plain = self.plain(x)
        perturbed = self.perturbed(key, jnp.repeat(x, self.repeats, axis=0))
        perturbed = perturbed.reshape(len(x), self.repeats, *plain.shape[1:])
        return jnp.concatenate([plain[:, None], perturbed], axis=1).reshape(-1, *plain.shape[1:])

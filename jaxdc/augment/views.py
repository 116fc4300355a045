"""Applies an augmentation: two views of a batch, or precomputed copies of a small data set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxdc.augment import _checks

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]


class Expanded(NamedTuple):
    """A data set's copies: ``images [n * n_copies, h, w, c]``, and the ``index`` of each one's original."""

    images: np.ndarray
    index: np.ndarray


def two_views(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    augmentation: Augmentation,
    augmentation2: Augmentation | None = None,
) -> tuple[Float[Array, "b h2 w2 c"], Float[Array, "b h2 w2 c"]]:
    """Two independent random views of each image.

    Args:
      key: a ``jax.random.key``.
      images: ``[b, h, w, c]``.
      augmentation: ``(key, images) -> images`` for the first view, and for the second unless
        ``augmentation2`` is given; both are then one call under ``jax.vmap``.
      augmentation2: augmentation for the second view.

    Returns:
      ``(view1, view2)``.
    """
    images = _checks.images(images)
    keys = jax.random.split(key)
    if augmentation2 is not None and augmentation2 != augmentation:
        return augmentation(keys[0], images), augmentation2(keys[1], images)
    # One after the other, they would be twice the kernels.
    view1, view2 = jax.vmap(augmentation, (0, None))(keys, images)
    return view1, view2


def mix_up(
    key: jax.Array,
    images: Float[Array, "b h w c"],
    targets: Float[Array, "b k"],
    *,
    concentration: float = 1.0,
) -> tuple[Float[Array, "b h w c"], Float[Array, "b k"]]:
    """Mixes every image, and its target, with those of another one: MixUp (Zhang et al., 2018, arXiv 1710.09412).

    ``l x_i + (1 - l) x_j`` for a random order j of the batch and one share l of all, drawn from Beta(a, a) and at
    least one half, so that a mixture is mostly its own image: MixMatch (Berthelot et al., 2019, arXiv 1905.02249,
    equations 8 to 11).

    Args:
      key: a ``jax.random.key``.
      images: ``[b, h, w, c]``.
      targets: what is said of them ``[b, k]``.
      concentration: a, > 0; larger values mix more evenly.

    Returns:
      Mixed images and targets, in the order of the images.

    Raises:
      ValueError: the images are none, there are not as many targets, or ``concentration`` is not positive.
    """
    images, targets = _checks.images(images), jnp.asarray(targets)
    if targets.ndim != 2 or len(targets) != len(images):
        raise ValueError(f"targets must be a matrix [{len(images)}, k], but its shape is {targets.shape}")
    _checks.number("concentration", concentration, 1e-6)
    share_key, order_key = jax.random.split(key)
    share = jax.random.beta(share_key, concentration, concentration)
    share = jnp.maximum(share, 1 - share)
    order = jax.random.permutation(order_key, len(images))
    return share * images + (1 - share) * images[order], share * targets + (1 - share) * targets[order]


def expand(
    key: jax.Array, images: np.ndarray, augmentation: Augmentation, n_copies: int, *, block_size: int = 1024
) -> Expanded:
    """Augments a small data set ahead of time: ``n_copies`` of each image, without the originals.

    Works in blocks, so that the device holds one block at a time; the result is in host memory. Equal keys and
    block sizes give equal copies.

    Args:
      key: a ``jax.random.key``.
      images: ``[n, h, w, c]``, floats in [0, 1] or bytes.
      augmentation: ``(key, images) -> images``.
      n_copies: number of copies of each image.
      block_size: number of images augmented at a time.

    Returns:
      ``Expanded(images, index)``: float32; the first copies of all images, then the second ones, and so on.
    """
    images = np.asarray(images)
    as_floats = images.dtype == np.uint8
    _checks.images(images[:1].astype(np.float32) if as_floats else images[:1])
    _checks.number("n_copies", n_copies, 1)
    _checks.number("block_size", block_size, 1)
    n = len(images)
    block_size = min(block_size, n)
    augment = jax.jit(augmentation)
    n_blocks = math.ceil(n / block_size)
    result = None
    for copy in range(n_copies):
        for i in range(n_blocks):
            rows = np.arange(i * block_size, (i + 1) * block_size) % n
            block = images[rows].astype(np.float32) / (255 if as_floats else 1)
            made = np.asarray(augment(jax.random.fold_in(key, copy * n_blocks + i), block))
            if result is None:
                result = np.empty((n_copies * n, *made.shape[1:]), np.float32)
            start, stop = i * block_size, min((i + 1) * block_size, n)
            result[copy * n + start : copy * n + stop] = made[: stop - start]
    assert result is not None
    return Expanded(result, np.tile(np.arange(n, dtype=np.int32), n_copies))

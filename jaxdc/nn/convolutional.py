"""A small convolutional autoencoder, for images of a few dozen pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
from flax import nnx

SIZE = 3  # side of the kernels


class ConvEncoder(nnx.Module):
    """Convolutions with stride 2, each followed by ReLU, then a linear code.

    Each halves height and width, rounded up, so any shape works.

    Args:
      shape: height, width and channels of an image.
      widths: channels of each layer.
      latent: width of the code.
      rngs: random streams for initialisation.
    """

    def __init__(self, shape: tuple[int, int, int], widths: Sequence[int], latent: int, *, rngs: nnx.Rngs):
        self.shape = shape
        self.layers = nnx.List(
            nnx.Conv(n_in, n_out, (SIZE, SIZE), strides=(2, 2), rngs=rngs)
            for n_in, n_out in itertools.pairwise((shape[2], *widths))
        )
        height, width = _sizes(shape, len(widths))[-1]
        self.code = nnx.Linear(height * width * (shape[2], *widths)[-1], latent, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, height, width, channels], or flat, -> [b, latent]."""
        x = x.reshape(x.shape[0], *self.shape)
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return self.code(x.reshape(x.shape[0], -1))


class ConvDecoder(nnx.Module):
    """Mirror image of ``ConvEncoder``: transposed convolutions with ReLU in between and no activation at the end.

    Args:
      shape: height, width and channels of an image.
      widths: channels of the encoder's layers.
      latent: width of the code.
      rngs: random streams for initialisation.
    """

    def __init__(self, shape: tuple[int, int, int], widths: Sequence[int], latent: int, *, rngs: nnx.Rngs):
        channels, self.sizes = (shape[2], *widths), _sizes(shape, len(widths))
        self.start = (*self.sizes[-1], channels[-1])
        self.code = nnx.Linear(latent, self.start[0] * self.start[1] * self.start[2], rngs=rngs)
        self.layers = nnx.List(
            nnx.ConvTranspose(n_in, n_out, (SIZE, SIZE), strides=(2, 2), rngs=rngs)
            for n_in, n_out in itertools.pairwise(channels[::-1])
        )

    def __call__(self, z: jax.Array) -> jax.Array:
        """[b, latent] -> [b, height, width, channels]."""
        x = self.code(z).reshape(z.shape[0], *self.start)
        for layer, (height, width) in zip(self.layers, self.sizes[-2::-1], strict=True):
            # Doubling may give a row or column more than the encoder halved.
            x = layer(nnx.relu(x))[:, :height, :width]
        return x


def _sizes(shape: tuple[int, int, int], n_layers: int) -> list[tuple[int, int]]:
    """Height and width before the first layer, and after each layer."""
    sizes = [(shape[0], shape[1])]
    for _ in range(n_layers):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes

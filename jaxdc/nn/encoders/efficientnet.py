"""EfficientNet-lite (Tan and Le, 2019, arXiv 1905.11946; for phones, 2020): small, and quick on a CPU.

No squeeze-and-excitation, ReLU6 throughout, and paddings as XLA's "SAME" has them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc.nn.norm import BatchNorm

EPSILON = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class EfficientNetSettings:
    """The sizes of a network; those of lite0 by default.

    Attributes:
      stem: channels of the first convolution.
      stages: for each stage (blocks, kernel, stride, expansion, channels).
      head: channels of the last convolution.
    """

    stem: int = 32
    stages: tuple[tuple[int, int, int, int, int], ...] = (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    )
    head: int = 1280


class _ConvNorm(nnx.Module):
    """Convolution without bias, batch normalisation, and ReLU6 if asked for; ``across`` keeps channels apart."""

    def __init__(self, n_in, n_out, size, stride, dtype, rngs, *, across=False, active=True):
        self.conv = nnx.Conv(
            n_in,
            n_out,
            (size, size),
            strides=(stride, stride),
            padding="SAME",
            use_bias=False,
            feature_group_count=n_in if across else 1,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm, self.across, self.active, self.stride = (
            BatchNorm(n_out, epsilon=EPSILON),
            across,
            active,
            stride,
        )

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = depthwise(x, self.conv.kernel[...][:, :, 0], self.stride) if self.across else self.conv(x)
        x = self.norm(x, train=train)
        return jax.nn.relu6(x) if self.active else x


def depthwise(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolves each channel by itself: [b, h, w, c] with [k, k, c], "SAME" padding, -> [b, h', w', c].

    As a sum of shifted products, which XLA fuses: on a CPU its grouped convolution takes 3 to 9 times as long.
    """
    size, dtype, n_out = len(kernel), x.dtype, [-(-n // stride) for n in x.shape[1:3]]
    missing = [max((m - 1) * stride + size - n, 0) for m, n in zip(n_out, x.shape[1:3], strict=True)]
    x = jnp.pad(x, ((0, 0), *((n // 2, n - n // 2) for n in missing), (0, 0)))
    ends = [(m - 1) * stride + 1 for m in n_out]
    y = jnp.zeros((), jnp.float32)
    for i, j in np.ndindex(size, size):
        shifted = x[:, i : i + ends[0] : stride, j : j + ends[1] : stride]
        y = y + shifted.astype(jnp.float32) * kernel[i, j][None, None, None]
    return y.astype(dtype)


class _Block(nnx.Module):
    """An inverted residual (Sandler et al., 2018, arXiv 1801.04381): wider, across each channel, narrow again."""

    def __init__(self, n_in, n_out, size, stride, expansion, dtype, rngs):
        hidden = n_in * expansion
        self.expand = _ConvNorm(n_in, hidden, 1, 1, dtype, rngs) if expansion != 1 else None
        self.across = _ConvNorm(hidden, hidden, size, stride, dtype, rngs, across=True)
        self.project = _ConvNorm(hidden, n_out, 1, 1, dtype, rngs, active=False)
        self.skips = stride == 1 and n_in == n_out

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = x if self.expand is None else self.expand(x, train)
        y = self.project(self.across(y, train), train)
        return x + y if self.skips else y


class EfficientNet(nnx.Module):
    """Images of any size -> vectors: the mean over positions of the last convolution.

    Args:
      settings: its sizes.
      dtype: dtype of convolutions and activations; parameters, statistics and the result are float32.
      rngs: NNX's source of initial values.

    Attributes:
      n_features: width of the output.
    """

    def __init__(self, settings: EfficientNetSettings, *, dtype: Any = jnp.float32, rngs: nnx.Rngs):
        self.dtype, self.n_features = jnp.dtype(dtype), settings.head
        self.first = _ConvNorm(3, settings.stem, 3, 2, dtype, rngs)
        blocks, n = [], settings.stem
        for n_blocks, size, stride, expansion, channels in settings.stages:
            for i in range(n_blocks):
                blocks.append(_Block(n, channels, size, 1 if i else stride, expansion, dtype, rngs))
                n = channels
        self.blocks = nnx.List(blocks)
        self.last = _ConvNorm(n, settings.head, 1, 1, dtype, rngs)

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, h, w, 3], normalised, -> [b, n_features], float32; ``train`` as ``ResNet`` has it."""
        x = self.first(x.astype(self.dtype), train)
        for block in self.blocks:
            x = block(x, train)
        return jnp.mean(self.last(x, train).astype(jnp.float32), axis=(1, 2))

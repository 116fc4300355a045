"""Residual networks for images of 32, 96 and 224 pixels (He et al., 2016, arXiv 1512.03385)."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc.errors import InputError
from jaxdc.nn.norm import BatchNorm

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}  # per stage; 50 has bottlenecks
STEMS = {"cifar": (3, 1), "stl": (3, 1), "imagenet": (7, 2)}  # size and stride of the first convolution


class _ConvNorm(nnx.Module):
    """Convolution without bias, then batch normalisation."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        size: int,
        stride: int,
        dtype: Any,
        rngs: nnx.Rngs,
        *,
        groups: int,
        zero: bool = False,
    ):
        # Padded equally on all sides, as in PyTorch: XLA's "SAME" pads a strided convolution more at
        # the end, which shifts the features by a pixel.
        self.conv = nnx.Conv(
            n_in,
            n_out,
            (size, size),
            strides=(stride, stride),
            padding=[(size // 2, size // 2)] * 2,
            use_bias=False,
            dtype=dtype,
            kernel_init=nnx.initializers.zeros_init(),  # ResNet draws all kernels at once
            rngs=rngs,
        )
        self.norm = BatchNorm(n_out, zero_init=zero, groups=groups)

    def __call__(
        self, x: jax.Array, train: bool, *, residual: jax.Array | None = None, relu: bool = True
    ) -> jax.Array:
        return self.norm(self.conv(x), train=train, residual=residual, relu=relu)


class _Block(nnx.Module):
    """``relu(x + f(x))``: f is two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1."""

    def __init__(
        self,
        n_in: int,
        width: int,
        stride: int,
        bottleneck: bool,
        dtype: Any,
        zero: bool,
        groups: int,
        rngs: nnx.Rngs,
    ):
        n_out = 4 * width if bottleneck else width
        # A bottleneck's stride is in its 3x3 convolution, as in torchvision ("ResNet v1.5").
        shapes = (
            [(1, 1, width), (3, stride, width), (1, 1, n_out)]
            if bottleneck
            else [(3, stride, width), (3, 1, width)]
        )
        layers, n = [], n_in
        for i, (size, step, m) in enumerate(shapes):
            last = i == len(shapes) - 1
            layers.append(_ConvNorm(n, m, size, step, dtype, rngs, groups=groups, zero=zero and last))
            n = m
        self.layers = nnx.List(layers)
        needs_projection = stride != 1 or n_in != n_out
        self.shortcut = _ConvNorm(n_in, n_out, 1, stride, dtype, rngs, groups=groups) if needs_projection else None

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = x
        for layer in self.layers[:-1]:
            y = layer(y, train)
        residual = x if self.shortcut is None else self.shortcut(x, train, relu=False)
        return self.layers[-1](y, train, residual=residual)


class ResNet(nnx.Module):
    """ResNet-10, 18, 34 or 50 up to and including the average over positions.

    With equal weights it computes the same as torchvision's ResNet without its last layer. Parameters,
    batch statistics and the average over positions are float32 for any ``dtype``.

    Args:
      depth: 10, 18, 34 or 50; 10, with one block per stage, is for small data sets and tests.
      stem: ``"cifar"``: 3x3 convolution of stride 1, no pooling (SimCLR, SCAN and IDFD at 32 pixels).
        ``"stl"``: the same, then 2x2 max-pooling of stride 2 padded by a pixel (SCAN's code for
        STL-10: 96 pixels end in 7 x 7 positions). ``"imagenet"``: 7x7 of stride 2, then 3x3 max-pooling of
        stride 2 (CC at 224 pixels).
      width: channels of the first stage; 64 in all papers.
      channels: channels of the images.
      dtype: dtype of convolutions and activations: ``jnp.bfloat16`` for mixed precision.
      zero_init: initialise every block as the identity, with scale 0 in its last batch normalisation
        (Goyal et al., 2017, arXiv 1706.02677).
      norm_groups: ``groups`` of the batch normalisations.
      rngs: random streams for initialisation: He normal by fan-out, as in torchvision.

    Attributes:
      n_features: width of the output: 512 for depths 10, 18 and 34, 2048 for 50, times width / 64.
      n_local: channels of the map with which the last stage begins, half of that.
    """

    def __init__(
        self,
        depth: Literal[10, 18, 34, 50],
        *,
        stem: Literal["cifar", "stl", "imagenet"] = "cifar",
        width: int = 64,
        channels: int = 3,
        dtype: Any = jnp.float32,
        zero_init: bool = False,
        norm_groups: int = 1,
        rngs: nnx.Rngs,
    ):
        if depth not in BLOCKS:
            raise InputError(f"depth must be one of {', '.join(map(str, BLOCKS))}, but is {depth}")
        if stem not in STEMS:
            raise InputError(f"stem must be one of {', '.join(STEMS)}, but is {stem!r}")
        self.stem, self.channels, self.dtype = stem, channels, jnp.dtype(dtype)
        self.depth, self.n_local = depth, width
        size, stride = STEMS[stem]
        self.first = _ConvNorm(channels, width, size, stride, dtype, rngs, groups=norm_groups)
        bottleneck, n, blocks = depth >= 50, width, []
        for stage, n_blocks in enumerate(BLOCKS[depth]):
            stage_width, self.n_local = width * 2**stage, n
            for i in range(n_blocks):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(_Block(n, stage_width, stride, bottleneck, dtype, zero_init, norm_groups, rngs))
                n = 4 * stage_width if bottleneck else stage_width
        self.blocks = nnx.List(blocks)
        self.n_features = n
        convolutions = [module for _, module in nnx.iter_modules(self) if isinstance(module, nnx.Conv)]
        kernels = _he_normal(rngs.params(), tuple(conv.kernel.shape for conv in convolutions))
        for conv, kernel in zip(convolutions, kernels, strict=True):
            conv.kernel[...] = kernel

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, h, w, c] -> features [b, n_features], float32.

        Args:
          x: images.
          train: normalise by the statistics of this batch, and update the running ones. Otherwise
            use the running ones, so that every image is embedded independently.
        """
        return self.with_map(x, train=train)[0]

    def with_map(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """The same features, and the map [b, h2, w2, c2], float32, with which the last stage begins."""
        if x.ndim != 4 or x.shape[-1] != self.channels:
            raise InputError(f"x must be images [b, h, w, {self.channels}], but its shape is {x.shape}")
        x = self.first(x.astype(self.dtype), train)
        if self.stem != "cifar":
            window, padding = ((2, 2) if self.stem == "stl" else (3, 3)), ((1, 1), (1, 1))
            x = nnx.max_pool(x, window, strides=(2, 2), padding=padding)  # pyright: ignore[reportArgumentType]
        n_last, local = BLOCKS[self.depth][-1], x
        for i, block in enumerate(self.blocks):
            if i == len(self.blocks) - n_last:
                local = x
            x = block(x, train)
        return jnp.mean(x.astype(jnp.float32), axis=(1, 2)), local.astype(jnp.float32)


@functools.partial(jax.jit, static_argnums=1)
def _he_normal(key: jax.Array, shapes: tuple[tuple[int, ...], ...]) -> list[jax.Array]:
    """Kernels [h, w, n_in, n_out] of variance 2 / (h w n_out), from one draw, to compile only once."""
    sizes = [math.prod(shape) for shape in shapes]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    noise = jax.random.normal(key, (ends[-1],))
    return [
        math.sqrt(2 / (shape[0] * shape[1] * shape[3])) * noise[end - size : end].reshape(shape)
        for shape, size, end in zip(shapes, sizes, ends, strict=True)
    ]

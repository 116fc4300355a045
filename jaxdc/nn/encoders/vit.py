"""One vision transformer (Dosovitskiy et al., 2021, arXiv 2010.11929) for DINOv2, DINOv3, CLIP, SigLIP and timm.

They differ in the tokens beside the patches, in where a patch's place comes from, in the shape of a block's second
half and in which token, or mean of tokens, is the image's vector. ``ViTSettings`` says which it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxdc.errors import InputError

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "silu": jax.nn.silu,
}
# Smallest and largest of each; a file that says otherwise is damaged.
SIZES = {
    "width": (1, 2**16),
    "depth": (0, 256),
    "heads": (1, 2**16),
    "hidden": (1, 2**18),
    "patch": (1, 2**10),
    "side": (1, 2**14),
    "channels": (1, 2**10),
    "registers": (0, 2**10),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViTSettings:
    """The sizes of a ViT, and in what it differs from the others.

    Attributes:
      width: width of a token.
      depth: blocks.
      heads: number of attention heads.
      hidden: width of a block's second half.
      patch: pixels along a side of a patch.
      side: pixels along a side of the image.
      channels: channels of the image.
      class_token: there is one, the first of all tokens.
      registers: tokens after it that stand for nothing (Darcet et al., 2024, arXiv 2309.16588).
      positions: "all" embeds the places of class token and patches, "patches" those of the patches alone; "rotary"
        turns query and key of each patch by its place (Su et al., 2021, arXiv 2104.09864).
      rotary_base: base of the rotary frequencies.
      patch_bias: the patches' layer has a bias.
      biases: which of a block's layers have one, of query, key, value, out and mlp.
      norm_before: a layer norm comes before the blocks.
      norm_after: a layer norm comes after them: after "tokens", the mean of these ("mean"), or none does (None).
      layer_scale: whether the output of each block is scaled per feature.
      activation: a name of ``ACTIVATIONS``.
      gated: a block's second half is gated (Shazeer, 2020, arXiv 2002.05202).
      epsilon: epsilon of the layer norms.
      pooling: feature of the image: the class token, the mean over the patches, or an "attention" of one
        learnt query to all tokens.
      pooled_hidden: width of the layer after that attention.
      projection: width of a layer after all, or None.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    patch: int
    side: int
    channels: int = 3
    class_token: bool = True
    registers: int = 0
    positions: Literal["all", "patches", "rotary"] = "all"
    rotary_base: float = 100.0
    patch_bias: bool = True
    biases: tuple[str, ...] = ("query", "key", "value", "out", "mlp")
    norm_before: bool = False
    norm_after: Literal["tokens", "mean"] | None = "tokens"
    layer_scale: bool = False
    activation: str = "gelu"
    gated: bool = False
    epsilon: float = 1e-6
    pooling: Literal["class", "mean", "attention"] = "class"
    pooled_hidden: int = 0
    projection: int | None = None

    def __post_init__(self):
        for name, (least, most) in SIZES.items():
            size = getattr(self, name)
            if not isinstance(size, int) or not least <= size <= most:
                raise InputError(f"{name} must be an integer from {least} to {most:,}, but is {size!r}")
        if not isinstance(self.epsilon, float) or not 0 < self.epsilon < 1:
            raise InputError(f"epsilon must be between 0 and 1, but is {self.epsilon!r}")
        if self.width % self.heads:
            raise InputError(f"{self.heads} heads can't share a width of {self.width}")
        if self.activation not in ACTIVATIONS:
            raise InputError(
                f"there is no activation {self.activation!r} here; there are {', '.join(ACTIVATIONS)}"
            )
        if self.pooling == "class" and not self.class_token:
            raise InputError("there is no class token to take")

    @property
    def grid(self) -> int:
        """Patches along a side; what does not fill one is cut off."""
        return self.side // self.patch

    def of_side(self, side: int) -> ViTSettings:
        """The same for images of another size."""
        return dataclasses.replace(self, side=side)

    @property
    def n_features(self) -> int:
        """Width of the image's vector."""
        return self.projection or self.width


class _Attention(nnx.Module):
    def __init__(self, settings: ViTSettings, biases: tuple[str, ...], dtype: Any, rngs: nnx.Rngs):
        self.heads = settings.heads

        def layer(name: str) -> nnx.Linear:
            width = settings.width
            return nnx.Linear(width, width, use_bias=name in biases, dtype=dtype, rngs=rngs)

        self.query, self.key, self.value = layer("query"), layer("key"), layer("value")
        self.out = layer("out")

    def __call__(self, x: jax.Array, context: jax.Array, turn: Callable[[jax.Array], jax.Array]) -> jax.Array:
        query, key = turn(self._split(self.query(x))), turn(self._split(self.key(context)))
        mixed = jax.nn.dot_product_attention(query, key, self._split(self.value(context)))
        return self.out(mixed.reshape(x.shape))

    def _split(self, x):
        return x.reshape(*x.shape[:2], self.heads, -1)


class _MLP(nnx.Module):
    def __init__(self, settings: ViTSettings, hidden: int, biased: bool, gated: bool, dtype: Any, rngs: nnx.Rngs):
        self.activation = settings.activation

        def layer(n_in: int, n_out: int) -> nnx.Linear:
            return nnx.Linear(n_in, n_out, use_bias=biased, dtype=dtype, rngs=rngs)

        self.wide, self.narrow = layer(settings.width, hidden), layer(hidden, settings.width)
        self.gate = layer(settings.width, hidden) if gated else None

    def __call__(self, x: jax.Array) -> jax.Array:
        act = ACTIVATIONS[self.activation]
        return self.narrow(act(self.wide(x)) if self.gate is None else act(self.gate(x)) * self.wide(x))


class Block(nnx.Module):
    """Attention, then two layers; a layer norm before each, and a sum after it."""

    def __init__(self, settings: ViTSettings, dtype: Any, rngs: nnx.Rngs):
        width = settings.width
        self.norm1, self.norm2 = (_norm(settings, dtype, rngs) for _ in range(2))
        self.attention = _Attention(settings, settings.biases, dtype, rngs)
        self.mlp = _MLP(settings, settings.hidden, "mlp" in settings.biases, settings.gated, dtype, rngs)
        self.scale1, self.scale2 = (nnx.Param(jnp.ones(width)) if settings.layer_scale else None for _ in range(2))

    def __call__(self, x: jax.Array, turn: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """[b, l, width] -> the same; ``turn`` brings places into queries and keys."""
        y = self.norm1(x)
        x = x + _scaled(self.attention(y, y, turn), self.scale1)
        return x + _scaled(self.mlp(self.norm2(x)), self.scale2)


class _Pool(nnx.Module):
    """Attention of one learnt query to all tokens, and two layers beside it: SigLIP's head."""

    def __init__(self, settings: ViTSettings, dtype: Any, rngs: nnx.Rngs):
        self.probe = nnx.Param(jnp.zeros(settings.width))
        self.attention = _Attention(settings, ("query", "key", "value", "out"), dtype, rngs)
        self.norm = _norm(settings, dtype, rngs)
        self.mlp = _MLP(settings, settings.pooled_hidden, True, False, dtype, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        probe = jnp.broadcast_to(self.probe[...].astype(x.dtype)[None, None], (len(x), 1, x.shape[-1]))
        y = self.attention(probe, x, lambda x: x)
        return (y + self.mlp(self.norm(y)))[:, 0]


class ViT(nnx.Module):
    """Images -> vectors.

    Args:
      settings: its sizes.
      dtype: dtype of matrix products and activations; parameters, softmax and the result are float32.
      rngs: NNX's source of initial values.

    Attributes:
      n_features: width of the output.
    """

    def __init__(self, settings: ViTSettings, *, dtype: Any = jnp.float32, rngs: nnx.Rngs):
        self.settings, self.dtype, self.n_features = settings, jnp.dtype(dtype), settings.n_features
        width, patch = settings.width, (settings.patch, settings.patch)
        self.patches = nnx.Conv(
            settings.channels,
            width,
            patch,
            strides=patch,
            padding="VALID",
            use_bias=settings.patch_bias,
            dtype=dtype,
            rngs=rngs,
        )
        self.class_token = nnx.Param(jnp.zeros(width)) if settings.class_token else None
        self.registers = nnx.Param(jnp.zeros((settings.registers, width))) if settings.registers else None
        n_positions = settings.grid**2 + (settings.positions == "all" and settings.class_token)
        learnt = settings.positions != "rotary"
        self.positions = nnx.Param(jnp.zeros((n_positions, width))) if learnt else None
        self.before = _norm(settings, dtype, rngs) if settings.norm_before else None
        self.blocks = nnx.List([Block(settings, dtype, rngs) for _ in range(settings.depth)])
        self.norm = _norm(settings, dtype, rngs) if settings.norm_after else None
        self.pool = _Pool(settings, dtype, rngs) if settings.pooling == "attention" else None
        n = settings.projection
        self.projection = None if n is None else nnx.Linear(width, n, use_bias=False, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """[b, side, side, channels], normalised, -> [b, n_features], float32. ``train`` changes nothing."""
        del train
        s = self.settings
        if x.shape[1:] != (s.side, s.side, s.channels):
            raise InputError(f"x must be images [b, {s.side}, {s.side}, {s.channels}], but its shape is {x.shape}")
        x = self._tokens(x.astype(self.dtype))
        if self.before is not None:
            x = self.before(x)
        turn = self._turn()
        for block in self.blocks:
            x = block(x, turn)
        if s.norm_after == "tokens":
            x = self._normed(x)
        return self._vector(x).astype(jnp.float32)

    def _tokens(self, x):
        s, b = self.settings, len(x)
        x = self.patches(x[:, : s.grid * s.patch, : s.grid * s.patch]).reshape(b, s.grid**2, s.width)
        if s.positions == "patches":
            x = x + self._of(self.positions)[None]
        if self.class_token is not None:
            x = jnp.concatenate([self._repeated(self._of(self.class_token)[None], b), x], axis=1)
        if s.positions == "all":
            x = x + self._of(self.positions)[None]
        if self.registers is not None:
            head, registers = int(s.class_token), self._repeated(self._of(self.registers), b)
            x = jnp.concatenate([x[:, :head], registers, x[:, head:]], axis=1)
        return x

    def _of(self, parameter: Any) -> jax.Array:
        return parameter[...].astype(self.dtype)

    def _normed(self, x: jax.Array) -> jax.Array:
        return x if self.norm is None else self.norm(x)

    @staticmethod
    def _repeated(tokens: jax.Array, b: int) -> jax.Array:
        return jnp.broadcast_to(tokens[None], (b, *tokens.shape))

    def _vector(self, x):
        s = self.settings
        if self.pool is not None:
            return self.pool(x)
        if s.pooling == "mean":
            mean = jnp.mean(x[:, s.class_token + s.registers :].astype(jnp.float32), axis=1)
            return self._normed(mean) if s.norm_after == "mean" else mean
        return x[:, 0] if self.projection is None else self.projection(x[:, 0])

    def _turn(self) -> Callable[[jax.Array], jax.Array]:
        s = self.settings
        if s.positions != "rotary":
            return lambda x: x
        angles = rotary_angles(s.grid, s.width // s.heads, s.rotary_base)
        # Class token and registers have no place: they are turned by nothing.
        angles = np.concatenate([np.zeros((s.class_token + s.registers, angles.shape[1]), np.float32), angles])
        cos, sin = (jnp.asarray(f(angles))[None, :, None, :] for f in (np.cos, np.sin))

        def turn(x: jax.Array) -> jax.Array:
            first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
            return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1).astype(x.dtype)

        return turn


def rotary_angles(grid: int, head_width: int, base: float) -> np.ndarray:
    """DINOv3's: ``[grid * grid, head_width / 2]``, of a patch's row, then of its column, both from -1 to 1."""
    frequencies = base ** -np.arange(0, 1, 4 / head_width, dtype=np.float32)
    centers = 2 * (np.arange(grid, dtype=np.float32) + 0.5) / grid - 1
    places = np.stack(np.meshgrid(centers, centers, indexing="ij"), axis=-1).reshape(-1, 2)
    angles = 2 * math.pi * places[:, :, None] * frequencies
    return angles.reshape(len(places), -1).astype(np.float32)


def _norm(settings: ViTSettings, dtype: Any, rngs: nnx.Rngs) -> nnx.LayerNorm:
    return nnx.LayerNorm(settings.width, epsilon=settings.epsilon, dtype=dtype, rngs=rngs)


def _scaled(x: jax.Array, scale: Any) -> jax.Array:
    return x if scale is None else x * scale[...].astype(x.dtype)[None, None]

"""One autoencoder per view: the network of multi-view methods, and its pre-training.

A view is a vector, encoded by fully connected layers, or an image, whose shape has to be given because a sample
holds only its flattened columns. Samples that are images are a single view.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
from flax import nnx

from jaxdc import losses, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Method, Stage, fast_steps, field, register

VECTOR = "vector"  # the "shape" of a view that is not an image


class ViewEncoder(nnx.Module):
    """The encoders of all views.

    Args:
      method: method with ``hidden``, ``channels``, ``latent`` and ``shapes``.
      spec: specification of the data; the views are its ``widths``.
      rngs: random streams for initialisation.
    """

    def __init__(self, method: Any, spec: DataSpec, rngs: nnx.Rngs):
        self.scale = nnx.Variable(jnp.float32(1.0 / spec.rms if spec.rms > 0 else 1.0))
        self.widths, parts = spec.widths or (math.prod(spec.shape),), []
        for width, shape in zip(*_views_of(method, spec), strict=True):
            if shape is None:
                parts.append(nn.MLP((width, *method.hidden, method.latent), rngs=rngs))
            else:
                parts.append(nn.ConvEncoder(shape, method.channels, method.latent, rngs=rngs))
        self.parts = nnx.List(parts)

    def apart(self, x: jax.Array) -> list[jax.Array]:
        """Splits [b, ...] into the views [b, width], divided by the data's rms."""
        x = x.reshape(x.shape[0], -1) * self.scale[...]
        return jnp.split(x, list(itertools.accumulate(self.widths))[:-1], axis=1)

    def codes(self, views: Sequence[jax.Array]) -> list[jax.Array]:
        """Encodes each view into z [b, latent]."""
        return [part(view) for part, view in zip(self.parts, views, strict=True)]

    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, d] -> the concatenated codes of the views [b, views latent]."""
        return jnp.concatenate(self.codes(self.apart(x)), axis=1)


class ViewDecoder(nnx.Module):
    """The mirrored decoders, with the same arguments."""

    def __init__(self, method: Any, spec: DataSpec, rngs: nnx.Rngs):
        parts = []
        for width, shape in zip(*_views_of(method, spec), strict=True):
            if shape is None:
                parts.append(nn.MLP((method.latent, *method.hidden[::-1], width), rngs=rngs))
            else:
                parts.append(nn.ConvDecoder(shape, method.channels, method.latent, rngs=rngs))
        self.parts = nnx.List(parts)

    def error(self, views: Sequence[jax.Array], codes: Sequence[jax.Array]) -> jax.Array:
        """Reconstruction error of the views from their codes: MSE, summed over the views."""
        made = [part(z).reshape(z.shape[0], -1) for part, z in zip(self.parts, codes, strict=True)]
        return sum(
            (jnp.mean(losses.squared_error(x, y)) for x, y in zip(views, made, strict=True)), start=jnp.zeros(())
        )


class Network(nnx.Module):
    """Encoders and decoders."""

    def __init__(self, method: Any, spec: DataSpec, rngs: nnx.Rngs):
        self.encoder, self.decoder = ViewEncoder(method, spec, rngs), ViewDecoder(method, spec, rngs)


@register("view_autoencoders", "preparation")
@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewAutoencoders(Method):
    """Learns to reconstruct each view separately. It makes no clusters.

    Attributes:
      hidden: widths of the encoders' hidden layers; the decoders mirror them.
      channels: channels of the convolutions, for views that are images.
      latent: width of the code of each view.
      shapes: shapes of the views, in order, such as 16x15, 32x32x3 or vector; empty if all are vectors, or if the
        samples are images.
    """

    hidden: tuple[int, ...] = field(at_least=1)
    channels: tuple[int, ...] = field(at_least=1)
    latent: int = field(at_least=1)
    shapes: tuple[str, ...] = ()

    clusters: ClassVar[bool] = False
    inherits: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    recipe_names: ClassVar[tuple[str, ...]] = ("fast",)

    def init(self, key, spec):
        return Network(self, spec, nnx.Rngs(key)), {}

    def loss(self, model, aux, batch, key):
        views = model.encoder.apart(batch["x"])
        loss = model.decoder.error(views, model.encoder.codes(views))
        return loss, (aux, {"reconstruction": loss})

    def assign(self, model, aux, features):
        raise NotImplementedError(f"{type(self).__name__} makes no clusters")

    def stages(self, recipe, spec):
        self.check_recipe(recipe)
        return (Stage(method=self, steps=fast_steps(spec, epochs=25, at_least=750)),)


def check_n_views(spec: DataSpec, n: int, what: str) -> None:
    """Raises InputError if the samples don't have this number of views."""
    found = 0 if spec.widths is None else len(spec.widths)
    if found != n:
        views = f"{n} views" if n > 1 else "one view"
        has = f"have {found}" if found else "are one matrix, or images"
        raise InputError(
            f"{what} needs samples of {views}, but these {has}: give a .mat or .npz file of several arrays, "
            f"and name {n} of them with --views"
        )


def _views_of(method: Any, spec: DataSpec) -> tuple[tuple[int, ...], list[tuple[int, int, int] | None]]:
    """Width of each view, and its height, width and channels if it is an image."""
    widths = spec.widths or (math.prod(spec.shape),)
    if not method.shapes and len(spec.shape) == 3:
        return widths, [spec.shape]
    shapes = method.shapes or (VECTOR,) * len(widths)
    if len(shapes) != len(widths):
        raise InputError(
            f"shapes must have one entry per view, {len(widths)}, but has {len(shapes)} "
            f"({' '.join(shapes)}); separate them by spaces, such as --shapes 16x15 {VECTOR}"
        )
    return widths, [_parsed(shape, width) for shape, width in zip(shapes, widths, strict=True)]


def _parsed(shape: str, n_columns: int) -> tuple[int, int, int] | None:
    if shape == VECTOR:
        return None
    sides = shape.lower().split("x")
    if len(sides) not in (2, 3) or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise InputError(f"the shape of a view must be like 16x15, 32x32x3 or {VECTOR}, not {shape!r}")
    height, width, channels = (*map(int, sides), 1)[:3]
    if height * width * channels != n_columns:
        raise InputError(f"a view of {n_columns} columns can't be an image of shape {shape}")
    return height, width, channels

"""Argument checks and random draws shared by all operations."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def on_images(function: Function) -> Function:
    """Runs a function on validated float32 images, and restores the dtype of its input."""
    place = list(inspect.signature(function).parameters).index("images")

    @functools.wraps(function)
    def checked(*args, **kwargs):
        if "images" in kwargs:
            x = images(kwargs["images"])
            return function(*args, **{**kwargs, "images": x.astype(jnp.float32)}).astype(x.dtype)
        if len(args) <= place:
            return function(*args, **kwargs)  # raises Python's message about the missing argument
        x = images(args[place])
        return function(*args[:place], x.astype(jnp.float32), *args[place + 1 :], **kwargs).astype(x.dtype)

    return cast(Function, checked)


def images(value) -> jax.Array:
    """Returns the images as an array, or raises ValueError."""
    if np.ndim(value) != 4:
        raise ValueError(f"images must be a batch [b, h, w, c], but their shape is {np.shape(value)}")
    x = jnp.asarray(value)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"images must be floats from 0 to 1, but are {x.dtype}; divide uint8 by 255")
    if 0 in x.shape:
        raise ValueError(f"images must not be empty, but their shape is {x.shape}")
    return x


def per_sample(name: str, value, x: jax.Array, width: int | None = None, dtype: Any = jnp.float32) -> jax.Array:
    """One parameter (or ``width`` of them) for each image; a single number is used for all."""
    value = jnp.asarray(value)
    shape = (len(x),) if width is None else (len(x), width)
    if value.ndim != 0 and value.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, one row per image, but has {value.shape}")
    if jnp.issubdtype(dtype, jnp.integer) and not jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, but is {value.dtype}")
    return jnp.broadcast_to(value.astype(dtype), shape)


def per_pixel(name: str, value, x: jax.Array) -> jax.Array:
    """One parameter for each image, broadcastable over its pixels: ``[b, 1, 1, 1]``."""
    return per_sample(name, value, x)[:, None, None, None]


def number(name: str, value, low: float, high: float = math.inf) -> None:
    """Checks a Python number against inclusive bounds."""
    if not (low <= value <= high and math.isfinite(value)):
        bounds = f"from {low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g}"
        raise ValueError(f"{name} must be a number {bounds}, but is {value}")


def interval(name: str, value, low: float, high: float = math.inf) -> None:
    """Checks a pair (smallest, largest)."""
    if len(value) != 2 or not (low <= value[0] <= value[1] <= high and math.isfinite(value[1])):
        bounds = f"from {low:g} to {high:g}" if math.isfinite(high) else f"from {low:g} up"
        raise ValueError(f"{name} must be a pair (smallest, largest) {bounds}, but is {value}")


def one_of(name: str, value, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, but is {value!r}")


def output_size(size: int | tuple[int, int] | None, x: jax.Array) -> tuple[int, int]:
    """(height, width) of the result; None keeps those of the images."""
    if size is None:
        return x.shape[1], x.shape[2]
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least 1 pixel, but is {size}")
    return height, width


def uniform(key: jax.Array, x: jax.Array, low: float, high: float) -> jax.Array:
    """Draws ``[b]``, one per image, uniformly between low and high."""
    return jax.random.uniform(key, (len(x),), minval=low, maxval=high)


def some(key: jax.Array, probability: float, changed: jax.Array, x: jax.Array) -> jax.Array:
    """Takes each changed image with this probability, and the original otherwise."""
    number("probability", probability, 0, 1)
    if probability == 1:
        return changed
    return jnp.where(jax.random.bernoulli(key, probability, (len(x), 1, 1, 1)), changed, x)

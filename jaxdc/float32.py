"""Computing in 32 bits, whatever ``JAX_ENABLE_X64`` says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")


def in_float32(function: Callable[P, T]) -> Callable[P, T]:
    """A decorator: what the function makes is float32 and int32, also if JAX is set to 64 bits.

    A run doesn't depend on that setting, which belongs to the program that jaxdc is part of. Not for generators,
    which would change the setting of whoever iterates over them.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return wrapped

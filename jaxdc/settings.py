"""Settings as they are given: NumPy's numbers become Python's, and each has a range."""

from __future__ import annotations

import dataclasses
import math
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from jaxdc.errors import InputError


class Range(NamedTuple):
    """Range of a numeric setting; None means no limit."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def holds(self, number: float) -> bool:
        """Whether a number lies in the range."""
        return (
            (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.below is None or number < self.below)
            and (self.at_most is None or number <= self.at_most)
        )

    def __str__(self) -> str:
        limits = zip(("above", "at least", "below", "at most"), self, strict=True)
        return " and ".join(f"{words} {_shown(limit)}" for words, limit in limits if limit is not None)


def plain(value: Any) -> Any:
    """Numbers of NumPy and JAX as Python's, lists and arrays as tuples, also in dataclasses; else the same."""
    if isinstance(value, np.generic) or getattr(value, "ndim", None) == 0:
        return value.item()
    if type(value) in (list, tuple) or isinstance(value, np.ndarray):
        parts = tuple(plain(part) for part in value)
        return value if type(value) is tuple and all(a is b for a, b in zip(parts, value, strict=True)) else parts
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        changed = {name: made for name, part in fields.items() if (made := plain(part)) is not part}
        return dataclasses.replace(value, **changed) if changed else value
    return value


def integer(name: str, value: Any, **limits: float) -> int:
    """An integer in a range.

    Raises:
      InputError: it is none, or lies outside.
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} must be an integer, but is {value!r}")
    return int(in_range(name, value, Range(**limits)))


def number(name: str, value: Any, **limits: float) -> float:
    """A finite number in a range.

    Raises:
      InputError: it is none, or lies outside.
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} must be a number, but is {value!r}")
    return float(in_range(name, value, Range(**limits)))


def in_range(name: str, value: Any, within: Range) -> Any:
    """The number, if it is finite, in the range, and an integer only of up to 63 bits."""
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise InputError(f"{name} is too large: a number of {value.bit_length()} bits")
    elif not math.isfinite(value):
        raise InputError(f"{name} must be finite, but is {value}")
    if not within.holds(value):
        raise InputError(f"{name} must be {within}, but is {value}")
    return value


def seed_of(value: Any, name: str = "seed") -> int:
    """A random seed: JAX uses 32 bits of it, so others would be the same as one of these.

    Raises:
      InputError: it isn't an integer from 0 to 4294967295.
    """
    return integer(name, value, at_least=0, at_most=2**32 - 1)


def _shown(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"

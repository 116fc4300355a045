"""Hyper-parameter fields with value ranges, and their validation."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from jaxdc.errors import InputError


class Range(NamedTuple):
    """Range of a numeric field; None means no limit."""

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
        return " and ".join(f"{words} {limit:g}" for words, limit in limits if limit is not None)


def field(
    default: Any = dataclasses.MISSING,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> Any:
    """Declares a dataclass field with a value range.

    ``n_init: int = field(20, at_least=1)``. In a tuple, every number must lie in the range. None is not checked
    against it: only the type decides whether None is allowed.
    """
    return dataclasses.field(default=default, metadata={"range": Range(above, at_least, below, at_most)})


def check_fields(settings: Any) -> None:
    """Checks every field of a dataclass against its type and its range.

    An int field needs an integer, a float field a finite number, and a ``Literal`` field one of the choices.
    Fields of other types are not checked.

    Raises:
      InputError: a field has an invalid value.
    """
    hints = _hints(type(settings))
    for each in dataclasses.fields(settings):
        hint, value = hints.get(each.name, Any), getattr(settings, each.name)
        _check(each.name, value, _options(hint), each.metadata.get("range", Range()))


@functools.cache
def _hints(owner: type) -> Mapping[str, Any]:
    try:
        return get_type_hints(owner)
    except NameError:  # a class defined in a function may refer to that function's local types
        return {}


def _check(name: str, value: Any, options: tuple[Any, ...], within: Range) -> None:
    if value is None and type(None) in options:
        return
    members = [get_args(option) for option in options if get_origin(option) is tuple]
    if isinstance(value, tuple) and members:
        for part in value:
            _check(name, part, tuple(option for option in members[0] if option is not Ellipsis), within)
        return
    choices = [choice for option in options if get_origin(option) is Literal for choice in get_args(option)]
    if choices and value not in choices:
        raise InputError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
    if options == (bool,) and not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, but is {value!r}")
    if isinstance(value, bool) or not isinstance(value, Real):
        _check_is_no_number(name, value, options)
        return
    if float not in options and int in options and not isinstance(value, Integral):
        raise InputError(f"{name} must be an integer, but is {value!r}")
    if not math.isfinite(value):
        raise InputError(f"{name} must be finite, but is {value}")
    if not within.holds(float(value)):
        raise InputError(f"{name} must be {within}, but is {value}")


def _check_is_no_number(name: str, value: Any, options: tuple[Any, ...]) -> None:
    """Raises InputError if the field must be a number."""
    kinds = {option for option in options if option is not type(None)}
    if kinds and kinds <= {int, float}:
        what = "a number" if float in kinds else "an integer"
        raise InputError(f"{name} must be {what}, but is {value!r}")


def _options(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)

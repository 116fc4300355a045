"""Hyper-parameter fields with value ranges, and their validation."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jaxdc.errors import InputError
from jaxdc.settings import Range, in_range, plain

MOST_RESTARTS = 10_000


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


def restarts(default: int) -> Any:
    """The field of a number of runs of k-means; there is a limit, because all are in memory at once."""
    return field(default, at_least=1, at_most=MOST_RESTARTS)


def check_fields(settings: Any) -> None:
    """Checks every field of a frozen dataclass against its type and its range, in its ``__post_init__``.

    An int field needs an integer, a float field a finite number, and a ``Literal`` field one of the choices.
    Fields of other types are not checked. Numbers of NumPy and JAX become Python's, lists and arrays tuples.

    Raises:
      InputError: a field has an invalid value.
    """
    hints = _hints(type(settings))
    for each in dataclasses.fields(settings):
        hint, given = hints.get(each.name, Any), getattr(settings, each.name)
        value = plain(given)
        if value is not given:
            object.__setattr__(settings, each.name, value)
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
    in_range(name, value, within)


def _check_is_no_number(name: str, value: Any, options: tuple[Any, ...]) -> None:
    """Raises InputError if the field must be a number."""
    kinds = {option for option in options if option is not type(None)}
    if kinds and kinds <= {int, float}:
        what = "a number" if float in kinds else "an integer"
        raise InputError(f"{name} must be {what}, but is {value!r}")


def _options(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)

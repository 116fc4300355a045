"""Command-line options for a method's hyper-parameters, from its dataclass and docstring."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import tyro

from jaxdc import augment
from jaxdc.errors import InputError
from jaxdc.methods.base.helps import helps_of

OF_IMAGES = (augment.Weak, augment.Strong, augment.Digits, augment.Shifted)


def kind_of(make: Callable) -> Any:
    """The class of an entry of ``methods.ALL``."""
    return make.func if isinstance(make, functools.partial) else make


def about(make: Callable) -> str:
    """One line about an entry of ``methods.ALL``: the summary of its class, and the values it presets."""
    text = (kind_of(make).__doc__ or "").strip().splitlines()[0]
    if isinstance(make, functools.partial):
        text += " With " + ", ".join(f"{k}={v}" for k, v in make.keywords.items()) + "."
    return text


def own_names(make: Callable) -> set[str]:
    """Names of the hyper-parameters of an entry of ``methods.ALL``, except ``n_clusters``."""
    return {field.name for field in dataclasses.fields(kind_of(make))} - {"n_clusters"}


def with_hyper_parameters(options: type, make: Callable) -> type:
    """A dataclass of these options and of a method's hyper-parameters, for tyro to parse.

    If both have an option of one name, such as DEC's ``train_encoder``, the method's is taken.
    """
    defaults = make.keywords if isinstance(make, functools.partial) else {}
    fields = []
    for owner in (options, kind_of(make)):
        hints, helps = get_type_hints(owner, include_extras=True), helps_of(owner)
        for field in dataclasses.fields(owner):
            if owner is not options and field.name == "n_clusters":
                continue
            if owner is options and field.name in own_names(make):
                continue
            hint = Annotated[hints[field.name], tyro.conf.arg(help=helps.get(field.name, ""))]
            default = defaults.get(field.name, field.default)
            fields.append((field.name, hint, dataclasses.field(default=default, kw_only=True)))
    return dataclasses.make_dataclass(options.__name__, fields)


def with_views_of_sounds(values: dict[str, Any], make: Callable) -> dict[str, Any]:
    """The hyper-parameters with views of spectrograms in place of those of images.

    Raises:
      InputError: a setting of the latter was passed, which would have no effect.
    """
    fields = {field.name: field.default for field in dataclasses.fields(kind_of(make))}
    defaults = {**fields, **(make.keywords if isinstance(make, functools.partial) else {})}
    views = [name for name, value in values.items() if isinstance(value, OF_IMAGES)]
    changed = [name for name in views if values[name] != defaults[name]]
    if changed:
        raise InputError(
            f"--{changed[0]}.* is about views of images, but the samples are recordings; in Python the views can "
            "be set: augmentation=jaxdc.augment.Spectrogram(...)"
        )
    return {**values, **dict.fromkeys(views, augment.Spectrogram())}

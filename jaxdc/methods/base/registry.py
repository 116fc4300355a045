"""The registry of methods. Each method's file registers its class, and everything else is derived from it.

This covers ``methods.ALL``, the names in ``jaxdc`` and ``jaxdc.methods``, the estimators in ``jaxdc.sklearn``,
``jaxdc list``, the table of methods and the API pages in the documentation, and the names allowed in
``config.json``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args

from jaxdc.methods.base.method import Method

Family = Literal[
    "autoencoder", "contrastive", "pseudo-label", "embedded", "several views", "network", "classic", "preparation"
]
M = TypeVar("M", bound=type[Method])


@dataclasses.dataclass(frozen=True)
class Entry:
    """A method and its name on the command line.

    Attributes:
      name: name in ``jaxdc train NAME``.
      method: the class.
      family: group in listings; the family "preparation" only prepares other methods, and is not listed.
      settings: hyper-parameters that differ from the class's defaults, in a variant.
    """

    name: str
    method: type[Method]
    family: Family
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_listed(self) -> bool:
        """Whether users can choose it; stages that only prepare other methods are hidden."""
        return self.family != "preparation"

    @property
    def make(self) -> Callable[..., Method]:
        """A factory for the method, given ``n_clusters``."""
        return functools.partial(self.method, **self.settings) if self.settings else self.method


_entries: dict[str, Entry] = {}


def register(
    name: str, family: Family, *, variants: Mapping[str, Mapping[str, Any]] | None = None
) -> Callable[[M], M]:
    """A class decorator that lists a method.

    Args:
      name: name in ``jaxdc train NAME`` and in ``config.json``; never change it.
      family: group in listings.
      variants: other names, each with the hyper-parameters that it sets.
    """

    def registered(method: M) -> M:
        for each, settings in {name: {}, **(variants or {})}.items():
            if each in _entries:
                raise ValueError(f"two methods have the name {each!r}: {_entries[each].method} and {method}")
            _entries[each] = Entry(each, method, family, settings)
        return method

    return registered


def entries() -> list[Entry]:
    """All methods, sorted by family and name."""
    families = get_args(Family)
    return sorted(_entries.values(), key=lambda entry: (families.index(entry.family), entry.name))


def classes() -> dict[str, type[Method]]:
    """All classes by registered name; variants are presets of these."""
    return {entry.name: entry.method for entry in entries() if not entry.settings}

"""Which splits of a set ``--split`` names."""

from __future__ import annotations

from collections.abc import Mapping

from jaxdc.errors import InputError


def choose_splits(split: str, labelled: Mapping[str, bool], name: str) -> list[str]:
    """The splits that are meant, those with labels first, so that results can be of them alone.

    Args:
      split: the name of one, several joined by "+", or "all" for every split that has labels (for every split,
        where none has); "all+unlabelled" adds one without.
      labelled: the splits that there are, and whether each has labels.
      name: of the set, for messages.

    Raises:
      InputError: there is no such split.
    """
    known = [one for one in labelled if labelled[one]] or list(labelled)
    chosen: list[str] = []
    for part in [split] if split in labelled else split.split("+"):
        if part != "all" and part not in labelled:
            quoted = ", ".join(map(repr, labelled))
            raise InputError(f"{name} has no split {part!r}; it has {quoted}, or all, or several joined by +")
        chosen += known if part == "all" else [part]
    return sorted(dict.fromkeys(chosen), key=lambda one: not labelled[one])

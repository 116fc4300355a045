"""Interprets ``--split``."""

from __future__ import annotations

from collections.abc import Mapping

from jaxdc.errors import InputError


def refuse_split(split: str, name: str) -> None:
    """Raises InputError if a split of data is asked for that have none."""
    if split != "all":
        raise InputError(
            f"--split {split} needs data with splits, but {name} has none: sets of TensorFlow Datasets have some, "
            "and files of encoded images, and records with a column split; of a folder, name a folder in it"
        )


def choose_splits(split: str, labelled: Mapping[str, bool], name: str) -> list[str]:
    """The selected splits, labelled ones first, so that results can cover those alone.

    Args:
      split: name of a split, several names joined by "+", or "all" for every split that has labels (for every
        split, if none has); "all+unlabelled" adds one without.
      labelled: the existing splits, and whether each has labels.
      name: name of the set, for messages.

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

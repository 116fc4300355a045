"""Checksums of what a run has written, so that a flipped bit is found and not believed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

from jaxdc.errors import InputError
from jaxdc.reading import check_regular, read_json
from jaxdc.writing import write_json

NAME = "checksums.json"


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Writes the SHA-256 of some files of a folder into its ``checksums.json``."""
    write_json(folder / NAME, {name: digest_of(folder / name) for name in names})


def check_checksums(folder: Path, names: Collection[str] | None = None) -> None:
    """Compares the files of a folder with its ``checksums.json``; a folder of version 0.1.0 has none.

    Args:
      folder: the run folder.
      names: the files to compare, if they are listed; None compares all.

    Raises:
      InputError: a file isn't what was written, or isn't there.
    """
    if not (folder / NAME).exists():
        return
    try:
        expected = read_json(folder / NAME)
        if any(Path(name).name != name for name in expected):
            raise ValueError("it lists files of other folders")
        compared = expected if names is None else [name for name in expected if name in names]
        wrong = [name for name in compared if digest_of(folder / name) != expected[name]]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{folder / NAME} or a file that it lists is missing or damaged: {error}") from error
    if wrong:
        raise InputError(
            f"{folder / wrong[0]} is damaged: it isn't what the run has written. Restore it, or run the train "
            "command again with --from-last-good"
        )


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

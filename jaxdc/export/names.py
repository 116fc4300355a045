"""File names that are valid on every system, including Windows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

FORBIDDEN = re.compile('[<>:"/\\\\|?*\x00-\x1f\x7f\ud800-\udfff]')
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])$", re.IGNORECASE)
MOST_BYTES = 180  # per name, so that paths stay below Windows's limit of 260 characters


def safe_name(name: str) -> str:
    """The name with "_" in place of characters that some systems reject, shortened if it is too long."""
    name = FORBIDDEN.sub("_", name).rstrip(". ")
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > 10:
        stem, dot, suffix = name, "", ""
    if RESERVED.match(name.partition(".")[0].rstrip()):
        stem = f"_{stem}"
    room = MOST_BYTES - len(f"{dot}{suffix}".encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ")
    return f"{stem or '_'}{dot}{suffix}"


def names_for(paths: Sequence[PurePath]) -> list[str]:
    """Unique names for files in one folder: their own, or, for duplicates, preceded by their folders.

    Names that differ only in case are duplicates, as on some systems.

    Args:
      paths: paths of the files, relative to their common folder.
    """
    own = [safe_name(path.name) for path in paths]
    times = Counter(map(str.casefold, own))
    names = []
    for name, path in zip(own, paths, strict=True):
        names.append(name if times[name.casefold()] == 1 else safe_name("__".join(path.parts)))
    taken: set[str] = set()
    for i, name in enumerate(names):
        stem, suffix = PurePath(name).stem, PurePath(name).suffix
        number = 2
        while names[i].casefold() in taken:
            names[i] = f"{stem}~{number}{suffix}"
            number += 1
        taken.add(names[i].casefold())
    return names

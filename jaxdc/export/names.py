"""Names of files that every system takes, Windows included."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

FORBIDDEN = re.compile('[<>:"/\\\\|?*\x00-\x1f\x7f\ud800-\udfff]')
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])$", re.IGNORECASE)
MOST_BYTES = 180  # of a name; with its folder it must stay below the 260 characters of a path on Windows


def safe_name(name: str) -> str:
    """The name with "_" for what some system refuses, shortened where it is too long for one."""
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
    """A name for each file in one folder: its own, or, where two are alike, that of its folders before it.

    Names that differ in upper and lower case alone are alike: some systems take them for one.

    Args:
      paths: of the files, below the folder that they all come from.
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

"""Files in a folder, what is left out of it, and classes from the names of its subfolders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxdc.data.wording import counted, shortened

# Names of folders that hold parts of a data set, rather than classes.
PARTS = frozenset(
    (
        "train",
        "training",
        "test",
        "testing",
        "val",
        "valid",
        "validation",
        "dev",
        "eval",
        "unlabelled",
        "unlabeled",
    )
)


class Listing(NamedTuple):
    """Files in a folder, at any depth.

    Attributes:
      paths: the files that are wanted, sorted by path.
      left_out: how many others there are, by what they are: their suffix, "hidden", "broken links", ...
    """

    paths: list[Path]
    left_out: Counter[str]

    def said_left_out(self, reasons: Callable[[str], str] = lambda kind: "") -> list[str]:
        """What is left out, in words, if anything is; ``reasons`` says why a suffix is."""
        if not self.left_out:
            return []
        n = self.left_out.total()
        named = {f"{kind}{reasons(kind)}": count for kind, count in self.left_out.items()}
        return [f"left out {n:,} {'file' if n == 1 else 'files'}: {counted(named)}"]


def files_below(folder: Path, wanted: Callable[[Path], bool]) -> Listing:
    """Lists a folder. Links are followed, and no folder is read twice: see ``walk``."""
    paths, left_out = [], Counter[str]()
    for path, kind in walk(folder):
        if kind:
            left_out[kind] += 1
        elif wanted(path):
            paths.append(path)
        else:
            left_out[path.suffix.lower() or "without a suffix"] += 1
    return Listing(sorted(paths), left_out)


def walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Everything below a folder: files with "", and what is no file to read with what it is.

    Linked files and folders are followed. A folder is read once, under its own name if it is below ``folder``; a
    link to a folder that ``folder`` itself is in is not followed. Names that start with a dot are hidden.
    """
    read = {_identity(parent) for parent in folder.resolve().parents}
    folders, linked = [folder], list[Path]()
    while folders or linked:
        here = (folders or linked).pop()
        try:
            identity, entries = _identity(here), sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            yield here, "folders that can't be read"
            continue
        if identity in read:
            yield here, "links to a folder that is read already"
            continue
        read.add(identity)
        for entry in entries:
            path = here / entry.name
            if entry.name.startswith("."):
                yield path, "hidden"
            elif path.is_dir():
                (linked if entry.is_symlink() else folders).append(path)
            elif path.is_file():
                yield path, ""
            else:
                yield path, "broken links" if entry.is_symlink() else "special files"
        linked.sort(reverse=True)


class Classes(NamedTuple):
    """Classes of files: ``labels`` ``[n]`` or None, and what they are, in words."""

    labels: np.ndarray | None
    said: str


def subfolder_classes(folder: Path, paths: Sequence[Path]) -> Classes:
    """The class of each file: the first of its subfolders that tells files apart.

    Passes over subfolders that only hold others, and over ``train/``, ``test/`` and the like. There are no classes
    if a file is in no such subfolder.
    """
    parents = [path.relative_to(folder).parts[:-1] for path in paths]
    level, above = 0, list[str]()
    while all(len(parts) > level for parts in parents):
        names = sorted({parts[level] for parts in parents})
        if len(names) > 1 and not PARTS.issuperset(name.lower() for name in names):
            where = f" (the folders in {' and '.join(above)})" if above else ""
            return Classes(np.array([parts[level] for parts in parents]), f"classes: {shortened(names)}{where}")
        above, level = [f"{name}/" for name in names], level + 1
    lone = next(path for path, parts in zip(paths, parents, strict=True) if len(parts) == level)
    why = f", because {' and '.join(above)} are parts of one set" if len(above) > 1 else ""
    if any(len(parts) > level for parts in parents):
        why = f", because {lone.relative_to(folder)} is in no folder of a class"
    return Classes(None, f"classes: none{why}")


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino

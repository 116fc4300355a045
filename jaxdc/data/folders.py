"""Files in a folder, and classes from the names of its subfolders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of the suffixes, at any depth, sorted by path; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def subfolder_classes(folder: Path, paths: Sequence[Path]) -> np.ndarray | None:
    """The first subfolder of each path, if all paths have one and they differ; else None."""
    parents = [path.relative_to(folder).parts[:-1] for path in paths]
    classes = {parts[0] for parts in parents if parts}
    return np.array([parts[0] for parts in parents]) if all(parents) and len(classes) > 1 else None

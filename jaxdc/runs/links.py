"""Links in a run folder, which people hand on: none is followed out of it."""

from __future__ import annotations

import os
from pathlib import Path

from jaxdc.errors import InputError

# What the package itself reads and writes in a run folder. Others may keep what they like there.
FILES = (
    "config.json",
    "metrics.json",
    "metrics.jsonl",
    "checksums.json",
    "assignments.csv",
    "embeddings.npy",
    "probabilities.npy",
    "vectorizer.npz",
    "workspaces.csv",
    "description.json",
    "probe.json",
    "report.html",
    "wandb_id.txt",
    "mlflow_id.txt",
    ".lock",
    "checkpoints",
    "tensorboard",
    "wandb",
)


def check_links(folder: Path) -> None:
    """Raises InputError if a file of the run, or one of its checkpoints, is a link to outside of the folder."""
    checkpoints = folder / "checkpoints"
    paths = [folder / name for name in FILES]
    for path in (*paths, *checkpoints.glob("*"), *checkpoints.glob("*/*")):
        # realpath, as resolve raises of a link to itself
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise InputError(
                f"{path} is a link out of the run folder, which is not followed: put the file there itself"
            )

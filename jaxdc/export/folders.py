"""One folder per cluster, with links to its samples or copies of them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from jaxdc import csv_tables
from jaxdc.data import Source
from jaxdc.errors import InputError
from jaxdc.export.names import names_for, safe_name
from jaxdc.runs.result_files import Results
from jaxdc.runs.samples import samples_of_run


def write_folders(
    results: Results, output: Path, data: str | None, copy: bool, say: Callable[[str], None]
) -> None:
    """Writes the folders, and ``clusters.csv`` next to them, with the original of each file."""
    files = _files(results, data, copy)
    images = None
    if files is None:
        images = samples_of_run(results.config, data, say=say).images
        if images is None:
            raise InputError(
                "the samples of this run are neither files nor images, so they can't be sorted into folders: "
                "export to csv, parquet or npz"
            )
        if copy:
            say("these images are not files, so they are written as PNG, with or without --copy")
    with _replacing_folder(output) as made:
        places = _places(results, files)
        for c in np.unique(results.labels).tolist():
            (made / _folder_of(c, results)).mkdir()
        if files is not None:
            for file, place in zip(files, places, strict=True):
                _link(file, made / place, copy)
        elif images is not None:
            _write_images(images, made, places)
        with (made / "clusters.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            table = csv_tables.Writer(file, ("file", "sample", "cluster", "confidence"))
            confidence = np.asarray(results.probabilities).max(axis=1).tolist()
            for row, place in enumerate(places):
                name = row if results.sample_names is None else results.sample_names[row]
                table.row((place.as_posix(), name, int(results.labels[row]), confidence[row]))


def _files(results: Results, data: str | None, copy: bool) -> list[Path] | None:
    """Current paths of the files that are the samples; None if the samples are not files."""
    opened, described = results.config.get("opened") or {}, results.config["run"]["data"]
    names, before = results.sample_names, Path(described["name"])
    if names is None or not all(Path(name).is_relative_to(before) and Path(name) != before for name in names):
        return None
    for name in names:
        if ".." in Path(name).relative_to(before).parts:
            raise InputError(f"assignments.csv names {name!r}, which leads out of the folder of the samples")
    root = Path(data or opened.get("data") or before).absolute()
    files = [root / Path(name).relative_to(before) for name in names]
    gone = [file for file in files if not file.is_file()]
    if gone:
        raise InputError(
            f"{len(gone):,} of the {len(files):,} samples of this run are no longer in {root}, such as {gone[0]}: "
            "pass their new path with --data"
        )
    outside = [file for file in files if copy and not file.resolve().is_relative_to(root.resolve())]
    if outside:
        raise InputError(
            f"{outside[0]} is a link out of {root}, from where nothing is copied: export links, without --copy"
        )
    return files


def _folder_of(cluster: int, results: Results) -> str:
    if cluster < 0:
        return "no_cluster"
    number = f"cluster_{cluster:0{len(str(results.probabilities.shape[1] - 1))}}"
    return safe_name(f"{number}_{results.names[cluster]}") if cluster in results.names else number


def _places(results: Results, files: Sequence[Path] | None) -> list[PurePath]:
    """Path of each sample in the output folder."""
    before = Path(results.config["run"]["data"]["name"])
    width = len(str(max(len(results.labels) - 1, 1)))
    places: list[PurePath] = [PurePath()] * len(results.labels)
    for c in np.unique(results.labels).tolist():
        rows = np.flatnonzero(results.labels == c).tolist()
        if files is None or results.sample_names is None:
            names = [f"{row:0{width}}.png" for row in rows]
        else:
            names = names_for([PurePath(results.sample_names[row]).relative_to(before) for row in rows])
        for row, name in zip(rows, names, strict=True):
            places[row] = PurePath(_folder_of(c, results)) / name
    return places


def _link(file: Path, place: Path, copy: bool) -> None:
    if copy:
        shutil.copy2(file, place)
        return
    try:
        place.symlink_to(file)
    except (OSError, NotImplementedError) as error:
        raise InputError(f"can't create links in {place.parent} ({error}): pass --copy") from error


def _write_images(images: Source, folder: Path, places: Sequence[PurePath]) -> None:
    rows = np.arange(len(places))
    parts = images.read(iter([rows[i : i + 256] for i in range(0, len(rows), 256)]))
    for x, part in parts:
        for image, row in zip(x, part, strict=True):
            if image.dtype != np.uint8:
                low, high = float(image.min()), float(image.max())
                image = ((image - low) / ((high - low) or 1.0) * 255).round().astype(np.uint8)
            Image.fromarray(image[..., 0] if image.shape[2] != 3 else image).save(folder / places[row], "PNG")


@contextlib.contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that is renamed once it is complete."""
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.exists():  # left by an interrupted export
        shutil.rmtree(partial)
    partial.mkdir()
    try:
        yield partial
        os.rename(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise

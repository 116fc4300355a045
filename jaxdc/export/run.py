"""Exports the clusters of a run for other programs: image folders or tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaxdc.errors import InputError
from jaxdc.export.folders import write_folders
from jaxdc.export.tables import pyarrow, write_table
from jaxdc.runs.result_files import read_results
from jaxdc.writing import full_disk_is_an_input_error

KINDS = ("folders", "csv", "parquet", "npz")


def export_run(
    folder: Path,
    to: str,
    output: Path | None = None,
    *,
    data: str | None = None,
    copy: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Exports the clusters of a run, atomically.

    Args:
      folder: folder of a finished run.
      to: "folders", with one folder per cluster and links to its samples, which must be files or images; or a
        table: "csv" (sample, cluster, confidence, and class and text if available), "parquet" or "npz" (also with
        the embeddings and probabilities).
      output: path to write to (default: ``clusters`` in the run folder, with the suffix of the format).
      data: current path of the samples, if they have moved.
      copy: copy the files instead of linking to them.
      say: receives messages for the user.

    Returns:
      The path of the output.

    Raises:
      InputError: the run is not finished, the output exists, the samples are missing, or a package is.
    """
    if to not in KINDS:
        raise InputError(f"unknown export format {to!r}: choose from {', '.join(KINDS)}")
    if copy and to != "folders":
        raise InputError(f"--copy requires --to folders: a {to} file contains no images")
    if to == "parquet":
        pyarrow()
    results = read_results(folder, say)
    output = output or folder / ("clusters" if to == "folders" else f"clusters.{to}")
    if output.exists() or output.is_symlink():
        raise InputError(f"{output} already exists: choose another --output, or remove it")
    if not output.absolute().parent.is_dir():
        raise InputError(f"can't write {output.name}: there is no folder {output.absolute().parent}")
    with full_disk_is_an_input_error(output):
        if to == "folders":
            write_folders(results, output, data, copy, say)
        else:
            write_table(results, to, output, data, say)
    return output

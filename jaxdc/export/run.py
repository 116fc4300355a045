"""What a run found, for other programs: pictures in a folder a cluster, or a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaxdc.errors import InputError
from jaxdc.export.folders import write_folders
from jaxdc.export.results import read_results
from jaxdc.export.tables import pyarrow, write_table
from jaxdc.runs import runfolder

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
    """Writes the clusters of a run as other programs take them, whole or not at all.

    Args:
      folder: of a finished run.
      to: "folders", a folder a cluster with links to its samples, which must be files or images; or a table: "csv"
        (sample, cluster, confidence, and class and text where there are any), "parquet" or "npz" (with the
        embeddings and probabilities as well).
      output: what to write; by default ``clusters`` in the run folder, with the suffix of the kind.
      data: where the samples are now, if not where they were.
      copy: copies of the files instead of links.
      say: told what a person should know.

    Returns:
      Where it is.

    Raises:
      InputError: the run is not finished, the output exists, the samples are gone, or a package is missing.
    """
    if to not in KINDS:
        raise InputError(f"a run is exported to {', '.join(KINDS)}, not to {to!r}")
    if copy and to != "folders":
        raise InputError(f"--copy is for --to folders; a {to} file holds no pictures")
    if to == "parquet":
        pyarrow()
    results = read_results(folder, say)
    output = output or folder / ("clusters" if to == "folders" else f"clusters.{to}")
    if output.exists() or output.is_symlink():
        raise InputError(f"{output} exists already: choose another --output, or remove it")
    if not output.absolute().parent.is_dir():
        raise InputError(f"there is no folder {output.absolute().parent} to write {output.name} to")
    with runfolder.full_disk_is_an_input_error(output):
        if to == "folders":
            write_folders(results, output, data, copy, say)
        else:
            write_table(results, to, output, data, say)
    return output

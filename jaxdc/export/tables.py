"""Tables of a run: CSV, NumPy's .npz and, with pyarrow, Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxdc import csv_tables
from jaxdc.errors import InputError
from jaxdc.runs.result_files import Results
from jaxdc.runs.samples import Samples, samples_of_run
from jaxdc.writing import replacing

BLOCK = 16384  # rows at a time


def write_table(results: Results, to: str, output: Path, data: str | None, say: Callable[[str], None]) -> None:
    """Writes a "csv", a "parquet" or an "npz" file, with classes and texts if available."""
    samples = _samples(results, data, say)
    {"csv": _write_csv, "parquet": _write_parquet, "npz": _write_npz}[to](output, results, samples)


def _samples(results: Results, data: str | None, say: Callable[[str], None]) -> Samples:
    """Texts and classes, which the table omits if they are no longer available."""
    try:
        return samples_of_run(results.config, data, say=say)
    except InputError as error:
        if data is not None:
            raise
        say(f"exporting without classes and texts: {error}")
        return Samples()


def _columns(results: Results, samples: Samples) -> list[str]:
    optional = {"name": results.names or None, "class": samples.labels_true, "text": samples.texts}
    return ["sample", "cluster", "confidence", *(name for name, values in optional.items() if values is not None)]


def _blocks(results: Results, samples: Samples) -> Iterator[tuple[slice, dict[str, list]]]:
    """The columns of the table, in blocks."""
    for first in range(0, len(results.labels), BLOCK):
        part = slice(first, min(first + BLOCK, len(results.labels)))
        rows = range(part.start, part.stop)
        names = results.sample_names
        columns: dict[str, list] = {
            "sample": [str(row) for row in rows] if names is None else list(names[part]),
            "cluster": results.labels[part].tolist(),
            "confidence": np.asarray(results.probabilities[part]).max(axis=1).tolist(),
        }
        if results.names:
            columns["name"] = [results.names.get(c, "") for c in columns["cluster"]]
        if samples.labels_true is not None:
            columns["class"] = [str(label) for label in samples.labels_true[part]]
        if samples.texts is not None:
            columns["text"] = [str(samples.texts[row]) for row in rows]
        yield part, columns


def _write_csv(output: Path, results: Results, samples: Samples) -> None:
    with replacing(output) as file:
        table = csv_tables.Writer(file, _columns(results, samples))
        for part, columns in _blocks(results, samples):
            if samples.labels_true is not None and samples.labels_true.dtype.kind in "biu":
                columns["class"] = samples.labels_true[part].tolist()  # numbers, which are no formulas
            for row in zip(*columns.values(), strict=True):
                table.row(row)


def _write_npz(output: Path, results: Results, samples: Samples) -> None:
    n = len(results.labels)
    arrays: dict[str, np.ndarray] = {
        "sample": np.array(range(n) if results.sample_names is None else results.sample_names).astype(str),
        "cluster": results.labels,
        "confidence": np.asarray(results.probabilities).max(axis=1),
        "probabilities": results.probabilities,
    }
    if results.names:
        arrays["name"] = np.array([results.names.get(c, "") for c in results.labels.tolist()])
    if results.embeddings is not None:
        arrays["embeddings"] = results.embeddings
    if samples.labels_true is not None:
        arrays["class"] = np.array([str(label) for label in samples.labels_true[:n]])
    if samples.texts is not None:
        arrays["text"] = np.array([str(text) for text in samples.texts[:n]])
    with replacing(output, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _write_parquet(output: Path, results: Results, samples: Samples) -> None:
    pa, parquet = pyarrow()
    types = {"sample": pa.string(), "cluster": pa.int32(), "confidence": pa.float32(), "class": pa.string()}
    types |= {"text": pa.string(), "name": pa.string()}
    fields = [(name, types[name]) for name in _columns(results, samples)]
    wide = {"probabilities": results.probabilities, "embedding": results.embeddings}
    wide = {name: matrix for name, matrix in wide.items() if matrix is not None}
    fields += [(name, pa.list_(pa.float32(), matrix.shape[1])) for name, matrix in wide.items()]
    schema = pa.schema(fields)
    with replacing(output, "wb") as file, parquet.ParquetWriter(file, schema) as writer:
        for part, columns in _blocks(results, samples):
            for name in ("sample", "name", "class", "text"):
                if name in columns:
                    columns[name] = [text.encode("utf-8", "backslashreplace").decode() for text in columns[name]]
            arrays = [pa.array(values, types[name]) for name, values in columns.items()]
            for matrix in wide.values():
                flat = pa.array(np.ascontiguousarray(matrix[part], np.float32).reshape(-1))
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1]))
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def pyarrow() -> tuple[Any, Any]:
    """Imports pyarrow and its Parquet module; InputError if they are not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            "Parquet files need pyarrow: pip install 'jaxdc[parquet]', or export to csv or npz"
        ) from error
    return pyarrow, parquet

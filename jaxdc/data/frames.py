"""Tables of pandas, polars and Arrow, in memory or in a Parquet file; other data need none of these packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jaxdc.data.sources import ArraySource
from jaxdc.data.tables import Table, source_of
from jaxdc.errors import InputError
from jaxdc.reading import check_expansion, check_regular


def is_frame(x: Any) -> bool:
    """Whether ``x`` is a table of pandas, polars or Arrow."""
    is_table = hasattr(x, "columns") and hasattr(x, "__len__")
    return is_table and (hasattr(x, "to_numpy") or hasattr(x, "column_names"))


def is_series_of_texts(x: Any) -> bool:
    """Whether ``x`` is a column of pandas or polars that holds texts."""
    is_series = hasattr(x, "to_list") and hasattr(x, "dtype") and getattr(x, "ndim", 1) == 1
    return is_series and len(x) > 0 and all(isinstance(each, str) for each in x.to_list())


def source_of_frame(frame: Any, label_column: str | None = None, *, name: str = "the table") -> ArraySource:
    """The samples of a DataFrame; ``tables.source_of`` says what its columns mean.

    Raises:
      InputError: a column holds neither numbers nor classes, such as dates or lists.
    """
    names = list(frame.column_names if hasattr(frame, "column_names") else frame.columns)
    if len(set(map(str, names))) < len(names):
        raise InputError(f"{name} has two columns of the same name: give each a name of its own")
    columns = {str(each): _column(frame[each], f'column "{each}" of {name}') for each in names}
    counted = [str(each) for each in names] == [str(i) for i in range(len(names))]  # no names, as of a matrix
    return source_of(Table(columns, name, has_names=not counted), label_column)


def load_parquet(path: Path, label_column: str | None = None) -> ArraySource:
    """The samples of a Parquet file.

    Raises:
      InputError: pyarrow isn't installed, or the file can't be read.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"{path} needs pyarrow: pip install 'jaxdc[parquet]'") from error
    size = check_regular(path)
    try:
        held = pyarrow.parquet.ParquetFile(path).metadata
        check_expansion(8 * held.num_rows * held.num_columns, size, str(path), "save it as .npy")
        table = pyarrow.parquet.read_table(path)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes of the reader
        raise InputError(f"{path} can't be read as a Parquet file: it is another format, or damaged") from error
    return source_of_frame(table, label_column, name=str(path))


def _column(series: Any, what: str) -> np.ndarray:
    """Float64 ``[n]`` with NaN for what is missing, or objects ``[n]``."""
    x = np.asarray(series)
    if x.dtype == object and hasattr(series, "to_numpy"):
        try:  # nullable numbers of pandas
            return np.asarray(series.to_numpy(dtype="float64", na_value=np.nan))
        except (TypeError, ValueError):
            pass
    if x.ndim != 1 or x.dtype.kind not in "biufOSUT":
        raise InputError(f"{what} holds {getattr(series, 'dtype', x.dtype)} values, but clustering needs numbers")
    if x.dtype.kind in "biuf":
        return x.astype(np.float64)
    objects = x.astype(object)
    known = [value for value in objects if value is not None and value == value]
    if known and all(isinstance(value, bool | int | float | np.number) for value in known):
        return np.array([np.nan if value is None or value != value else value for value in objects], np.float64)
    if not all(isinstance(value, str | bool | int | float | np.number) for value in known):
        raise InputError(f"{what} holds {type(known[0]).__name__} values, but clustering needs numbers")
    return objects

"""What the columns of a table mean: features, classes, or nothing that belongs into training.

A table comes from a CSV file, a Parquet file or a DataFrame. Whatever its origin, the same rules hold, and the
source says in ``understood`` what was made of each column.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdc.data.sources import ArraySource, Source
from jaxdc.data.wording import shortened
from jaxdc.errors import InputError

LABEL_COLUMNS = ("label", "labels", "class", "target", "y")
MISSING = frozenset(("", "na", "n/a", "nan", "nat", "null", "?"))  # in lower case
NO_LABEL = "none"  # what --label-column says of a table without classes
_UNNAMED = re.compile(r"unnamed: ?\d+(_level_\d+)?")


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes:
      columns: float64 ``[n]``, or texts as objects ``[n]``, by name.
      name: what messages call the table.
      has_names: whether the names come from the table, not from the places of the columns.
      notes: what a reader has already found worth saying.
    """

    columns: Mapping[str, np.ndarray]
    name: str
    has_names: bool = True
    notes: Sequence[str] = ()


def source_of(table: Table, label_column: str | None = None) -> ArraySource:
    """The samples of a table, and their classes if it has some.

    Columns named label, labels, class, target or y hold classes, or else nothing that is trained on: they never
    enter training. If there is none of these names, a single column of texts that repeat holds them. A column
    without a name (or called ``Unnamed: 0``), as an index is written, is left out.

    Args:
      table: the table.
      label_column: name of the column of the classes, or its place from 1 in a table without names; "none" if
        there are no classes and every column is a feature.

    Raises:
      InputError: a column holds texts or dates, no column is left, or it isn't clear which column holds the
        classes.
    """
    columns, notes = dict(table.columns), list(table.notes)
    if label_column != NO_LABEL or table.has_names:
        unnamed = [name for name in columns if table.has_names and is_unnamed(name)]
        for name in unnamed:
            columns.pop(name)
        if unnamed:
            notes.append(f"left out: {_quoted(unnamed)}, without a name")
    label, others = _label_of(columns, label_column, table.name)
    classes = None if label is None else columns.pop(label)
    for name in others:
        columns.pop(name)
    if others:
        notes.append(f"left out: {_quoted(others)}, named like classes")
    columns = {name: _as_numbers(column) for name, column in columns.items()}
    texts = [name for name, column in columns.items() if column.dtype.kind == "O"]
    if texts:
        raise InputError(
            f"{table.name} has texts where numbers are needed, in {_quoted(texts)}: leave "
            f"{'it' if len(texts) == 1 else 'them'} out of the table, or name the column of the classes with "
            "--label-column"
        )
    if not columns:
        raise InputError(f"{table.name} has no columns other than the labels")
    labels = None
    if label is not None and classes is not None:
        labels = _classes(classes)
        if labels is None:
            n = int(np.sum([_is_missing(value) for value in classes]))
            notes.append(f"{n:,} samples have no {label}, so nothing is scored")
    counting = [name for name, column in columns.items() if _counts_rows(column)]
    if counting:
        notes.append(f"{_quoted(counting)} only counts the rows: leave it out unless it is a feature")
    names = list(columns)
    x = np.stack(list(columns.values()), axis=1)
    source = ArraySource(x, labels, name=table.name, columns=names if table.has_names else None)
    source.understood = "; ".join(
        [
            f"{len(names)} features{': ' + shortened(names) if table.has_names else ''}",
            f"label: {'none' if label is None else label}",
            *notes,
        ]
    )
    return source


def in_order(source: Source, columns: Sequence[str] | None) -> Source:
    """A table with its columns in the order of another's, by their names.

    Args:
      source: any source; one without names is returned as it is.
      columns: names of the columns of the other table, or None if it had none.

    Raises:
      InputError: one table has a column that the other hasn't.
    """
    if columns is None or source.columns is None or list(source.columns) == list(columns):
        return source
    missing = [name for name in columns if name not in source.columns]
    unknown = [name for name in source.columns if name not in columns]
    if missing or unknown:
        told = [f"it lacks {_quoted(missing)}"] if missing else []
        told += [f"it also has {_quoted(unknown)}"] if unknown else []
        raise InputError(f"{source.name} has other columns than the table of this run: {'; '.join(told)}")
    assert isinstance(source, ArraySource)  # no other has names
    return source.by_columns([source.columns.index(name) for name in columns])


def _as_numbers(column: np.ndarray) -> np.ndarray:
    """A column of texts that are all numbers as numbers; any other as it is."""
    numbers = None if column.dtype.kind != "O" else _numbers(column.tolist())
    return column if numbers is None else numbers


def is_unnamed(name: str) -> bool:
    """Whether a column has no name, as pandas and R write an index."""
    return not name.strip() or _UNNAMED.fullmatch(name.strip().lower()) is not None


def number(text: str) -> float:
    """The number that a cell holds; ValueError for anything else, such as ``1_000``."""
    if "_" in text:
        raise ValueError(text)
    known = {"true": 1.0, "false": 0.0}.get(text.strip().lower())
    return float(text) if known is None else known


def _label_of(columns: Mapping[str, np.ndarray], asked: str | None, table: str) -> tuple[str | None, list[str]]:
    """The column of the classes, and the others that are named like some."""
    if asked == NO_LABEL:
        return None, []
    if asked is not None:
        if asked not in columns:
            raise InputError(f"{table} has no column {asked!r}; it has {shortened(list(columns))}")
        if (reason := _no_classes(columns[asked])) == "continuous":
            raise InputError(f"column {asked} of {table} is {reason}, so it holds no classes")
        return asked, []
    named = [name for known in LABEL_COLUMNS for name in columns if name.strip().lower() == known]
    lower = {name.strip().lower() for name in columns}
    if "y" in lower and "x" in lower:  # coordinates, perhaps
        y = next(name for name in columns if name.strip().lower() == "y")
        if named == [y]:
            if _no_classes(columns[y]) is None:
                raise InputError(
                    f"{table} has columns x and y: pass --label-column {y} if y holds classes, --label-column "
                    f"{NO_LABEL} if both are features"
                )
            return None, []
        named.remove(y)
    usable = [name for name in named if _no_classes(columns[name]) is None]
    if usable:
        return usable[0], [name for name in named if name != usable[0]]
    if not named:
        texts = [name for name, column in columns.items() if column.dtype.kind == "O"]
        if len(texts) == 1 and _no_classes(columns[texts[0]]) is None:
            return texts[0], []
    return None, named


def _no_classes(column: np.ndarray) -> str | None:
    """Why a column can't hold classes, or None if it can."""
    values = [value for value in column.tolist() if not _is_missing(value)]
    numbers = _numbers(values)
    if numbers is not None and np.any(numbers != np.round(numbers)):
        return "continuous"
    if len(values) > 2 and len(set(values)) == len(values):
        return "different in every row"
    return None


def _classes(column: np.ndarray) -> np.ndarray | None:
    """Classes [n]; None if some are missing. Numbers that are written differently are one class."""
    values = column.tolist()
    if any(map(_is_missing, values)):
        return None
    numbers = _numbers(values)
    if numbers is not None:
        return numbers.astype(np.int64) if np.all(np.abs(numbers) < 2**53) else numbers
    return np.array([str(value).strip() for value in values])


def _numbers(values: Sequence[Any]) -> np.ndarray | None:
    try:
        found = np.array([value if isinstance(value, float) else number(str(value)) for value in values], float)
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def _is_missing(value: Any) -> bool:
    if value is None or value != value:
        return True
    return isinstance(value, str) and value.strip().lower() in MISSING


def _counts_rows(column: np.ndarray) -> bool:
    """Whether it is 0, 1, 2, ... or 1, 2, 3, ... and enough of it that this is no accident."""
    n = len(column)
    return n >= 8 and bool(np.array_equal(column - column[0], np.arange(n)) and column[0] in (0, 1))


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)

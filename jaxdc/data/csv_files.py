"""Tables of numbers in CSV files, with or without a line of column names."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxdc.data.sources import ArraySource
from jaxdc.data.tables import LABEL_COLUMNS, MISSING, Table, is_unnamed, number, source_of
from jaxdc.errors import InputError

BLOCK = 4096  # rows of a table at a time
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def load_csv(path: Path, label_column: str | None = None) -> ArraySource:
    """A table of numbers, one row a sample; ``tables.source_of`` says what its columns mean.

    Values are separated by commas, semicolons or tabs, as the first line shows. The first line holds names if one
    of its values is a word, or if it counts 0, 1, 2, ... as tables without names are often written.

    Raises:
      InputError: it can't be read, or a value is no number; the line and the column are named.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            separator, skipped = _separator(file.readline())
            file.seek(0)
            if skipped:
                file.readline()
            table = _table(
                path, (row for row in csv.reader(file, delimiter=separator) if row), 1 + skipped, separator
            )
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{path} can't be read as a UTF-8 CSV table: {error}") from error
    return source_of(table, label_column)


def _separator(first: str) -> tuple[str, int]:
    """What separates values, and how many lines say nothing else."""
    line = first.strip("\r\n").strip('"')
    if line.lower().startswith("sep=") and line[4:] in SEPARATORS:
        return line[4:], 1
    counts = {separator: line.count(separator) for separator in SEPARATORS}
    return max(counts, key=lambda separator: (counts[separator], separator == ",")), 0


def _table(path: Path, rows: Iterator[list[str]], line: int, separator: str) -> Table:
    """Its rows, of which a few at a time are texts: those take many times the memory of their numbers."""
    head = next(rows, None)
    if head is None:
        raise InputError(f"{path} is empty")
    second = next(rows, None)
    has_names = _is_header(head, second)
    names = [name.strip() for name in head] if has_names else [f"{i + 1}" for i in range(len(head))]
    _check_names(path, names)
    before = [] if has_names else [head]
    rows = itertools.chain(before, [] if second is None else [second], rows)
    line += has_names
    blocks: list[list[np.ndarray]] = []
    texts: set[int] = set()
    while part := list(itertools.islice(rows, BLOCK)):
        _check_width(path, part, line, len(head))
        if not blocks:
            texts = {i for i, name in enumerate(names) if _keeps_texts(name, [row[i] for row in part])}
        columns = [[row[i] for row in part] for i in range(len(head))]
        blocks.append(
            [
                np.array(column, object) if i in texts else _numbers(path, column, line, names[i])
                for i, column in enumerate(columns)
            ]
        )
        line += len(part)
    if not blocks:
        raise InputError(f"{path} has column names but no rows")
    joined = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    notes = [f"header: {'yes' if has_names else 'no'}"]
    if separator != ",":
        notes.append(f"separated by {SEPARATORS[separator]}")
    return Table(dict(zip(names, joined, strict=True)), str(path), has_names, notes)


def _is_header(head: Sequence[str], second: Sequence[str] | None) -> bool:
    """Whether the first line holds names."""
    words = [i for i, cell in enumerate(head) if not _is_number(cell) and not _is_missing(cell)]
    if words:
        if second is None or len(second) != len(head):
            return True
        # A class at the end of every row of a table without names is a word too.
        return any(_is_number(second[i]) or _is_missing(second[i]) for i in words) or len(words) == len(head)
    if len(head) < 2:
        return False
    counted = [cell.strip() for cell in (head[1:] if not head[0].strip() else head)]
    return len(counted) > 1 and counted == [str(i) for i in range(len(counted))]


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path} has two columns called {twice[0]!r}: give each a name of its own")
    if names.count("") > 1:
        raise InputError(f"{path} has {names.count('')} columns without a name: name them, or remove them")


def _keeps_texts(name: str, cells: Sequence[str]) -> bool:
    """Whether a column stays as it is written: it is named for classes, has no name, or begins with a word."""
    if name.lower() in LABEL_COLUMNS or is_unnamed(name):
        return True
    first = next((cell.strip() for cell in cells if not _is_missing(cell)), "")
    return not _is_number(first) and first[:1].isalpha()


def _check_width(path: Path, rows: Sequence[Sequence[str]], line: int, width: int) -> None:
    for i, row in enumerate(rows):
        if len(row) != width:
            raise InputError(f"{path} has {len(row)} values in line {i + line}, but {width} columns")


def _numbers(path: Path, cells: Sequence[str], line: int, name: str) -> np.ndarray:
    """A column, the first of it in this line, as float64."""
    found = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            found[i] = number(cell)
        except ValueError:
            value = f"{cell!r}" if cell.strip() else "nothing"
            raise InputError(
                f"{path} has {value} in line {i + line}, column {name}, where a number is needed{_advice(cell)}"
            ) from None
    return found


def _advice(cell: str) -> str:
    if "_" in cell or ("," in cell and any(character.isdigit() for character in cell)):
        return ": write it with a decimal point and without separators of thousands"
    return ": remove such rows, or fill the values in" if _is_missing(cell) else ""


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return not _is_missing(cell)


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING

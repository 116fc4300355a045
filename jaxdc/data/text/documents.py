"""Texts on disk: one document per line, record or file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdc.data.folders import files_below, subfolder_classes, walk
from jaxdc.data.sources import checked_labels
from jaxdc.data.splits import choose_splits, refuse_split
from jaxdc.data.tables import LABEL_COLUMNS
from jaxdc.data.wording import shortened
from jaxdc.errors import InputError
from jaxdc.reading import parse_json, read_bytes, read_lines

# In order of preference.
TEXT_COLUMNS = ("text", "document", "sentence", "content", "body", "abstract", "description", "title")
SPLIT_COLUMN = "split"
SUFFIXES = (".txt", ".jsonl", ".csv")


class Documents(NamedTuple):
    """Texts in a fixed order.

    Attributes:
      texts: the texts, none of them empty.
      name: name given by the user.
      protocol: which part of the data this is.
      labels: class of each document, or None.
      sample_names: name of each document, or None if positions serve as names.
      understood: a sentence on how the texts were read, or "".
    """

    texts: Sequence[str]
    name: str = "the texts"
    protocol: str = "all documents"
    labels: np.ndarray | None = None
    sample_names: Sequence[str] | None = None
    understood: str = ""

    @classmethod
    def of(cls, texts: Sequence[str], labels: Any = None) -> Documents:
        """Wraps a list in memory.

        Raises:
          InputError: a text is empty, or the number of labels differs.
        """
        texts = [str(text) for text in texts]
        _without_empty(texts, list(range(len(texts))), None, "the list", False, lambda text: None)
        return cls(texts, labels=None if labels is None else checked_labels(labels, len(texts), "the list"))


def holds_texts(path: Path, column: str | None = None) -> bool:
    """Whether a path holds documents; a table does if one of its columns has a name for texts."""
    if path.is_dir():
        return any(not kind and _is_text(each) for each, kind in walk(path))
    kind = kind_of(path)
    if kind != ".csv":
        return kind in (".txt", ".jsonl")
    if column is not None:
        return True
    try:
        first = next(read_lines(path), b"")
        header = next(csv.reader([first.decode("utf-8-sig")]), [])
    except (csv.Error, InputError, UnicodeDecodeError):
        return False  # the reader for numbers will report what is wrong
    return _known_column(header) is not None


def kind_of(path: Path) -> str:
    """The suffix, ignoring ``.gz``."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def read_documents(
    path: Path,
    *,
    column: str | None = None,
    split: str = "all",
    skip_empty: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Documents:
    """Reads ``.txt`` (a document per line), ``.jsonl`` or ``.csv`` (per record), or a folder of ``.txt``.

    Files are UTF-8 and may be compressed (``.gz``). Records may have a label, used only for scoring, and a split.
    Subfolders of a folder are its classes, if every file is in one.

    Args:
      path: path of the file or folder.
      column: column or JSON field that holds the text (default: the first of text, document, sentence, content,
        body, abstract, description and title that is there).
      split: splits to read from records with a split column: "all", a name, or several names joined by "+".
      skip_empty: skip empty documents, and report how many there were.
      say: receives messages for the user.

    Raises:
      InputError: no documents, no such column (the message lists the columns), a file that is not UTF-8, or an
        empty document.
    """
    names = labels = splits = None
    said = ["one per line"]
    if path.is_dir():
        listing = files_below(path, _is_text)
        texts, names = [_decoded(one) for one in listing.paths], [str(one) for one in listing.paths]
        classes = subfolder_classes(path, listing.paths)
        labels, said = classes.labels, [classes.said, *listing.said_left_out()]
    elif kind_of(path) == ".txt":
        # splitlines would also split at marks that stand within texts, such as U+2028.
        texts = re.split("\r\n|\n|\r", _decoded(path))
        while texts and not texts[-1].strip():  # the file's last line break, or a few
            texts.pop()
    else:
        records = list(read_records(path))
        columns = list(records[0]) if records else []
        column = column or _known_column(columns)
        texts = _texts(records, path, column)
        labels, splits = _labels(records, path, say), _values(records, (SPLIT_COLUMN,))
        label, part = _column_of(columns, LABEL_COLUMNS), _column_of(columns, (SPLIT_COLUMN,))
        others = [name for name in columns if name not in (column, label, part)]
        said = [
            f"texts: {column}",
            f"label: {label or 'none'}",
            *([f"left out: {shortened(others)}"] if others else []),
        ]
    if not texts:
        raise InputError(f"{path} has no documents")
    rows, protocol = _rows_of(split, splits, labels, len(texts), path)
    kept = _without_empty([texts[row] for row in rows], rows, names, path, skip_empty, say)
    if len(kept) < len(texts):
        texts = [texts[row] for row in kept]
        labels = None if labels is None else labels[kept]
        names = [str(row) for row in kept] if names is None else [names[row] for row in kept]
    understood = "; ".join([f"{len(texts):,} documents", *said])
    return Documents(texts, str(path), protocol, labels, names, understood)


def _is_text(path: Path) -> bool:
    return path.suffix.lower() == ".txt"


def _rows_of(split, splits, labels, n, path) -> tuple[list[int], str]:
    """The documents selected by ``--split``, and the protocol for them."""
    if splits is None:
        refuse_split(split, str(path))
        return list(range(n)), f"all {n:,} documents"
    known = dict.fromkeys(map(str, splits), labels is not None)
    chosen = choose_splits(split, known, str(path))
    rows = [i for i, one in enumerate(splits) if str(one) in chosen]
    if len(rows) == n:
        return rows, f"all {n:,} documents"
    return rows, f"{len(rows):,} documents of split {'+'.join(chosen)}"


def split_names(path: Path) -> tuple[str, ...]:
    """The splits in the records; empty for text files, folders and tables without that column."""
    if path.is_dir() or kind_of(path) == ".txt":
        return ()
    splits = _values(list(read_records(path)), (SPLIT_COLUMN,))
    return () if splits is None else tuple(dict.fromkeys(map(str, splits)))


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a ``.jsonl`` or ``.csv`` file, plain or ``.gz``, as values by column.

    Raises:
      InputError: another file format, or a file that is damaged or not UTF-8.
    """
    kind = kind_of(path)
    if kind not in (".jsonl", ".csv"):
        raise InputError(f"{path} must be a .csv or .jsonl file, plain or .gz")
    return (_records_of_json if kind == ".jsonl" else _records_of_table)(path)


def _decoded(path: Path) -> str:
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not UTF-8: byte {content[error.start]:#04x} in line {line}; save it as UTF-8"
        ) from error


def _records_of_json(path: Path) -> Iterator[dict[str, Any]]:
    # Not splitlines: texts may contain Unicode line separators, which JSON allows.
    for number, line in enumerate(_decoded(path).split("\n"), 1):
        if not line.strip():
            continue
        record = parse_json(line, f"line {number} of {path}")
        if not isinstance(record, dict):
            raise InputError(f"{path} has {line.strip()[:40]!r} in line {number}, but must have an object {{...}}")
        yield record


def _records_of_table(path: Path) -> Iterator[dict[str, Any]]:
    # Documents may be longer than the csv module's limit, meant for unbalanced quotes.
    csv.field_size_limit(2**31 - 1)
    try:
        rows = [row for row in csv.reader(io.StringIO(_decoded(path), newline="")) if row]
    except csv.Error as error:
        raise InputError(f"{path} can't be read as a CSV table: {error}") from error
    header = [name.strip() for name in rows[0]] if rows else []
    for i, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise InputError(f"{path} has {len(row)} values in record {i}, but {len(header)} columns")
        yield dict(zip(header, row, strict=True))


def _known_column(names: Sequence[str]) -> str | None:
    lower = {name.strip().lower(): name.strip() for name in reversed(names)}
    return next((lower[name] for name in TEXT_COLUMNS if name in lower), None)


def _texts(records: Sequence[dict[str, Any]], path: Path, column: str | None) -> list[str]:
    if not records:
        return []
    texts = []
    for i, record in enumerate(records):
        if column not in record:
            there = ", ".join(map(repr, record)) or "none"
            wanted = "column of texts" if column is None else f"column {column!r}"
            where = "" if i == 0 else f" in record {i + 1}"
            raise InputError(
                f"{path} has no {wanted}{where}; its columns are {there}: select one with --text-column"
            )
        text = record[column]
        if not isinstance(text, str | None):
            raise InputError(f"{path} has {text!r} in record {i + 1}, column {column!r}, but must have a text")
        texts.append(text or "")
    return texts


def _values(records: Sequence[dict[str, Any]], names: Sequence[str]) -> list[Any] | None:
    """The values of the first existing column of these; None for records without it."""
    column = _column_of(list(records[0]), names) if records else None
    return None if column is None else [record.get(column) for record in records]


def _column_of(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of these names that a column has, in any case, as the column writes it."""
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


def _labels(records, path: Path, say: Callable[[str], None]) -> np.ndarray | None:
    labels = _values(records, LABEL_COLUMNS)
    if labels is None:
        return None
    missing = sum(label in (None, "") for label in labels)
    if missing:
        say(f"{missing:,} of the {len(labels):,} documents of {path} have no label, so no scores are computed")
        return None
    plain = len({type(label) for label in labels}) == 1 and isinstance(labels[0], str | int)
    return np.array(labels if plain else [str(label) for label in labels])


def _without_empty(texts, rows, names, path, skip: bool, say) -> list[int]:
    """The rows with non-empty texts."""
    empty = [row for row, text in zip(rows, texts, strict=True) if not text.strip()]
    if not empty:
        return rows
    first = f"document {empty[0] + 1} of {path}" if names is None else names[empty[0]]
    if not skip:
        more = f", and {len(empty) - 1:,} more" if len(empty) > 1 else ""
        raise InputError(f"{first} is empty{more}; remove it, or skip empty texts with --skip-empty-texts")
    if len(empty) == len(rows):
        raise InputError(f"all {len(rows):,} documents of {path} are empty")
    say(f"skipped {len(empty):,} empty documents of {len(rows):,}; the first is {first}")
    return sorted(set(rows) - set(empty))

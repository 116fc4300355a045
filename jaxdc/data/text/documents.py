"""Texts on disk: a line a document, a record a document, or a file a document."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdc.data.folders import files_below, subfolder_classes
from jaxdc.data.splits import choose_splits
from jaxdc.data.tables import LABEL_COLUMNS
from jaxdc.errors import InputError

# In the order in which they are looked for.
TEXT_COLUMNS = ("text", "document", "sentence", "content", "body", "abstract", "description", "title")
SPLIT_COLUMN = "split"
SUFFIXES = (".txt", ".jsonl", ".csv")


class Documents(NamedTuple):
    """Texts in a fixed order.

    Attributes:
      texts: none of them empty.
      name: what the user called them.
      protocol: which part of the data this is.
      labels: a class for each, or None.
      sample_names: a name for each, or None where the place in the list is the name.
    """

    texts: Sequence[str]
    name: str = "the texts"
    protocol: str = "all documents"
    labels: np.ndarray | None = None
    sample_names: Sequence[str] | None = None

    @classmethod
    def of(cls, texts: Sequence[str], labels: Any = None) -> Documents:
        """From a list in memory.

        Raises:
          InputError: a text is empty, or there are labels of another number.
        """
        texts = [str(text) for text in texts]
        _without_empty(texts, list(range(len(texts))), None, "the list", False, lambda text: None)
        if labels is not None and np.shape(labels) != (len(texts),):
            raise InputError(f"there are {len(texts)} texts but labels of shape {np.shape(labels)}")
        return cls(texts, labels=None if labels is None else np.asarray(labels))


def holds_texts(path: Path, column: str | None = None) -> bool:
    """Whether there are documents at a path; a table holds some if a column of it is called for texts."""
    if path.is_dir():
        return any(files_below(path, {".txt"}))
    kind = kind_of(path)
    if kind != ".csv":
        return kind in (".txt", ".jsonl")
    if column is not None:
        return True
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            header = next(csv.reader([file.readline().decode("utf-8-sig")]), [])
    except (csv.Error, OSError, EOFError, UnicodeDecodeError):
        return False  # whoever reads it as numbers says what is wrong
    return _known_column(header) is not None


def kind_of(path: Path) -> str:
    """Its suffix, that below ``.gz`` where it is compressed."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def read_documents(
    path: Path,
    *,
    column: str | None = None,
    split: str = "all",
    skip_empty: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Documents:
    """Reads ``.txt`` (a line a document), ``.jsonl`` or ``.csv`` (a record a document), or a folder of ``.txt``.

    Files are UTF-8 and may be compressed (``.gz``). Records may have a label, which serves scoring alone, and a
    split. Subfolders of a folder are its classes, if every file lies in one.

    Args:
      path: of the file or folder.
      column: of a table or of records, that holds the text; by default the first of text, document, sentence,
        content, body, abstract, description, title that is there.
      split: of records that name theirs: "all", one, or several joined by "+".
      skip_empty: leave empty documents out, and say how many they were.
      say: told what a person should know.

    Raises:
      InputError: no documents, no such column (it lists those there are), a file that is not UTF-8 (it is named),
        an empty document.
    """
    names = labels = splits = None
    if path.is_dir():
        paths = files_below(path, {".txt"})
        texts, names = [_decoded(one) for one in paths], [str(one) for one in paths]
        labels = subfolder_classes(path, paths)
    elif kind_of(path) == ".txt":
        # splitlines would also split at marks that stand within texts, such as U+2028.
        texts = re.split("\r\n|\n|\r", _decoded(path))
        while texts and not texts[-1].strip():  # the file's last line break, or a few
            texts.pop()
    else:
        records = list(read_records(path))
        texts = _texts(records, path, column)
        labels, splits = _labels(records, path, say), _values(records, (SPLIT_COLUMN,))
    if not texts:
        raise InputError(f"{path} holds no document")
    rows, protocol = _rows_of(split, splits, labels, len(texts), path)
    kept = _without_empty([texts[row] for row in rows], rows, names, path, skip_empty, say)
    if len(kept) < len(texts):
        texts = [texts[row] for row in kept]
        labels = None if labels is None else labels[kept]
        names = [str(row) for row in kept] if names is None else [names[row] for row in kept]
    return Documents(texts, str(path), protocol, labels, names)


def _rows_of(split, splits, labels, n, path) -> tuple[list[int], str]:
    """The documents that ``--split`` means, and what a reader of a number is told of them."""
    if splits is None:
        if split != "all":
            raise InputError(f"the documents of {path} name no split, so --split {split} means nothing there")
        return list(range(n)), f"all {n:,} documents"
    known = dict.fromkeys(map(str, splits), labels is not None)
    chosen = choose_splits(split, known, str(path))
    rows = [i for i, one in enumerate(splits) if str(one) in chosen]
    if len(rows) == n:
        return rows, f"all {n:,} documents"
    return rows, f"{len(rows):,} documents of split {'+'.join(chosen)}"


def split_names(path: Path) -> tuple[str, ...]:
    """The splits that its records name; none of lines, folders and tables without that column."""
    if path.is_dir() or kind_of(path) == ".txt":
        return ()
    splits = _values(list(read_records(path)), (SPLIT_COLUMN,))
    return () if splits is None else tuple(dict.fromkeys(map(str, splits)))


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a ``.jsonl`` or ``.csv`` file, plain or ``.gz``: values by column.

    Raises:
      InputError: a file of another kind, or one that is not UTF-8 or is damaged (it is named).
    """
    kind = kind_of(path)
    if kind not in (".jsonl", ".csv"):
        raise InputError(f"{path} is no table: .csv and .jsonl are read, plain or .gz")
    return (_records_of_json if kind == ".jsonl" else _records_of_table)(path)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not UTF-8: byte {content[error.start]:#04x} in line {line}; save it as UTF-8"
        ) from error


def _records_of_json(path: Path) -> Iterator[dict[str, Any]]:
    # Not splitlines: a text may hold the line separators of Unicode, which JSON lets pass.
    for number, line in enumerate(_decoded(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path} has no JSON in line {number}: {error}") from error
        if not isinstance(record, dict):
            raise InputError(
                f"{path} has {line.strip()[:40]!r} in line {number}, where an object {{...}} is needed"
            )
        yield record


def _records_of_table(path: Path) -> Iterator[dict[str, Any]]:
    # A document may well be longer than the module's guard against broken quotes.
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
    column = column or _known_column(list(records[0]))
    texts = []
    for i, record in enumerate(records):
        if column not in record:
            there = ", ".join(map(repr, record)) or "none"
            wanted = "column of texts" if column is None else f"column {column!r}"
            where = "" if i == 0 else f" in record {i + 1}"
            raise InputError(
                f"{path} has no {wanted}{where}; its columns are {there}: name one with --text-column"
            )
        text = record[column]
        if not isinstance(text, str | None):
            raise InputError(f"{path} has {text!r} in record {i + 1}, column {column!r}, where a text is needed")
        texts.append(text or "")
    return texts


def _values(records: Sequence[dict[str, Any]], names: Sequence[str]) -> list[Any] | None:
    """What the first of these columns that is there holds; None in a record without it."""
    columns = {name.lower(): name for name in reversed(records[0])} if records else {}
    column = next((columns[name] for name in names if name in columns), None)
    return None if column is None else [record.get(column) for record in records]


def _labels(records, path: Path, say: Callable[[str], None]) -> np.ndarray | None:
    labels = _values(records, LABEL_COLUMNS)
    if labels is None:
        return None
    missing = sum(label in (None, "") for label in labels)
    if missing:
        say(f"{missing:,} of the {len(labels):,} documents of {path} have no label, so nothing is scored")
        return None
    plain = len({type(label) for label in labels}) == 1 and isinstance(labels[0], str | int)
    return np.array(labels if plain else [str(label) for label in labels])


def _without_empty(texts, rows, names, path, skip: bool, say) -> list[int]:
    """The rows whose texts hold something."""
    empty = [row for row, text in zip(rows, texts, strict=True) if not text.strip()]
    if not empty:
        return rows
    first = f"document {empty[0] + 1} of {path}" if names is None else names[empty[0]]
    if not skip:
        more = f", and {len(empty) - 1:,} more like it" if len(empty) > 1 else ""
        raise InputError(f"{first} is empty{more}; remove it, or go on without by --skip-empty-texts")
    if len(empty) == len(rows):
        raise InputError(f"all {len(rows):,} documents of {path} are empty")
    say(f"left out {len(empty):,} of {len(rows):,} documents that are empty; the first is {first}")
    return sorted(set(rows) - set(empty))

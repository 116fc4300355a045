"""Who accessed which document when, what the documents say, and which workspace they are known to be in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdc.data.tables import LABEL_COLUMNS
from jaxdc.data.text.documents import TEXT_COLUMNS, read_records
from jaxdc.errors import InputError

# "document" is what a column of texts may be called elsewhere; here it names the document.
_TEXT_COLUMNS = tuple(name for name in TEXT_COLUMNS if name != "document")
_MILLISECONDS = 1e11  # seconds since 1970 reach it in the year 5138


class Events(NamedTuple):
    """Accesses, in the order of the log.

    Attributes:
      users: number of the user of each ``[e]``, int32.
      documents: number of the document ``[e]``, int32.
      times: seconds since 1970 ``[e]``, float64.
      names: of the documents, by number.
      name: what the user called the log.
    """

    users: np.ndarray
    documents: np.ndarray
    times: np.ndarray
    names: Sequence[str]
    name: str = "the log"

    @classmethod
    def of(cls, events: Iterable[tuple[str, str, float]], name: str = "the log") -> Events:
        """From ``(user, document, seconds)`` in memory; documents are numbered as they come."""
        users: dict[str, int] = {}
        names: dict[str, int] = {}
        rows = [
            (users.setdefault(user, len(users)), names.setdefault(document, len(names)), seconds)
            for user, document, seconds in events
        ]
        table = np.array(rows, np.float64).reshape(-1, 3)
        return cls(table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2], list(names), name)


def read_events(path: Path, *, user: str = "user", document: str = "document", time: str = "time") -> Events:
    """Reads a log, ``.csv`` or ``.jsonl``, plain or ``.gz``: a record an access.

    Args:
      path: of the file.
      user: column of who it was.
      document: column of what was accessed.
      time: column of when: ISO 8601 (2024-03-01T09:30:00Z; without a zone it is UTC), or seconds since 1970.

    Raises:
      InputError: there is no access, no such column (it lists those there are), a value is missing or no time (its
        record is named), or the file can't be read.
    """
    rows, seconds_of = [], None
    for i, record in enumerate(read_records(path), 1):
        values = [_value(record, column, path, i) for column in (user, document, time)]
        if seconds_of is None:
            seconds_of = _seconds_of_number if _is_number(values[2]) else _seconds_of_date
        try:
            seconds = seconds_of(values[2])
        except ValueError:
            kind = "seconds since 1970, as above" if seconds_of is _seconds_of_number else "2024-03-01T09:30:00"
            raise InputError(
                f"{path} has {values[2]!r} in record {i}, column {time!r}, where a time is needed, such as {kind}"
            ) from None
        rows.append((values[0], values[1], seconds))
    if not rows:
        raise InputError(f"{path} holds no access: it needs records of {user}, {document} and {time}")
    if rows[0][2] > _MILLISECONDS:
        raise InputError(
            f"{path} has {rows[0][2]:.0f} in column {time!r}, which is no time in seconds since 1970; "
            "milliseconds must be divided by 1000"
        )
    events = Events.of(rows, str(path))
    try:
        "".join(events.names).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{path} has a document whose name is no text that could be written: {error}") from error
    return events


class Texts(NamedTuple):
    """What is known of documents besides their use.

    Attributes:
      texts: by the name of the document.
      labels: by the name of the document, where a column of them was named; for scoring alone.
    """

    texts: Mapping[str, str]
    labels: Mapping[str, str] | None = None


def read_texts(
    path: Path, *, document: str = "document", text: str | None = None, labels: str | None = None
) -> Texts:
    """Reads the texts of documents, ``.csv`` or ``.jsonl``, plain or ``.gz``: a record a document.

    Args:
      path: of the file.
      document: column of its name, as the log has it.
      text: column of what it says; by default the first of text, sentence, content, body, ... that is there.
      labels: column of the workspace that it is known to be in; empty where that is not known.

    Raises:
      InputError: there is no record, no such column (it lists those there are), a document comes twice, or the
        file can't be read.
    """
    texts: dict[str, str] = {}
    known: dict[str, str] = {}
    for i, record in enumerate(read_records(path), 1):
        text = text or _first_column(record, _TEXT_COLUMNS)
        if text is None:
            raise InputError(f"{path} has no column of texts; {_columns(record)}: name one with --text-column")
        name = _value(record, document, path, i)
        if name in texts:
            raise InputError(f"{path} has document {name!r} twice, the second time in record {i}")
        texts[name] = _value(record, text, path, i, may_be_empty=True)
        if labels is not None and (label := _value(record, labels, path, i, may_be_empty=True)):
            known[name] = label
    if not texts:
        raise InputError(f"{path} holds no document")
    return Texts(texts, known if labels is not None else None)


def read_labels(path: Path, *, document: str = "document") -> dict[str, str]:
    """Reads the workspaces that documents are known to be in: a column ``workspace``, ``label``, ``class``, ...

    Raises:
      InputError: there is no record, no such column (it lists those there are), or the file can't be read.
    """
    known: dict[str, str] = {}
    for i, record in enumerate(read_records(path), 1):
        column = _first_column(record, ("workspace", *LABEL_COLUMNS))
        if column is None:
            raise InputError(f"{path} has no column workspace or label; {_columns(record)}")
        if label := _value(record, column, path, i, may_be_empty=True):
            known[_value(record, document, path, i)] = label
    if not known:
        raise InputError(f"{path} holds no label")
    return known


def texts_in_order(
    events: Events,
    texts: Mapping[str, str],
    name: str = "the texts",
    *,
    skip_unmatched: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[str]:
    """A text for each document of a log; an empty one for those without.

    Args:
      events: the log.
      texts: by the name of the document.
      name: what messages call them.
      skip_unmatched: go on where the two do not hold the same documents, and say how many they are.
      say: told what a person should know.

    Raises:
      InputError: the log and the texts do not hold the same documents, or have none in common.
    """
    accessed = set(events.names)
    never_accessed = [document for document in texts if document not in accessed]
    without_text = [document for document in events.names if document not in texts]
    if len(without_text) == len(events.names):
        raise InputError(
            f"{events.name} and {name} have no document in common: one speaks of {events.names[0]!r}, "
            f"the other of {next(iter(texts), '')!r}"
        )
    for documents, what, then in (
        (never_accessed, f"of {name} are not in {events.name}", "they are left out"),
        (without_text, f"of {events.name} are not in {name}", "they go by the log alone"),
    ):
        if not documents:
            continue
        sentence = f"{len(documents):,} documents {what}; the first is {documents[0]!r}"
        if not skip_unmatched:
            raise InputError(f"{sentence}: complete the table, or go on without by --skip-unmatched")
        say(f"{sentence}: {then}")
    return [texts.get(document, "") for document in events.names]


def _value(record: Mapping[str, Any], column: str, path: Path, i: int, *, may_be_empty: bool = False) -> str:
    if column not in record:
        where = "" if i == 1 else f" in record {i}"
        raise InputError(f"{path} has no column {column!r}{where}; {_columns(record)}")
    value = record[column]
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        text = str(value).strip()
    elif value is None:
        text = ""
    else:
        raise InputError(
            f"{path} has {value!r} in record {i}, column {column!r}, where a text or a number is needed"
        )
    if not text and not may_be_empty:
        raise InputError(f"{path} has nothing in record {i}, column {column!r}")
    return text


def _columns(record: Mapping[str, Any]) -> str:
    return f"its columns are {', '.join(map(repr, record)) or 'none'}"


def _first_column(record: Mapping[str, Any], names: Sequence[str]) -> str | None:
    lower = {name.lower(): name for name in reversed(list(record))}
    return next((lower[name] for name in names if name in lower), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _seconds_of_number(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds):
        raise ValueError(text)
    return seconds


def _seconds_of_date(text: str) -> float:
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()

"""Tables as CSV files, which read back as they were and do nothing in a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import IO, Any

# A spreadsheet takes what begins like this for a formula; the last four are the full-width forms.
_ACTIVE = "=+-@\t\r\n＝＋－＠"
_MARKED = re.compile(f"'(?='*[{re.escape(_ACTIVE)}])")
_QUOTED = re.compile('[",;\t\r\n]')  # also what separates cells in other countries' spreadsheets


class Writer:
    """Writes rows: fractions with six decimals, other numbers as they are, and texts so that none is a formula.

    A text that a spreadsheet would run gets an apostrophe before it, as people write it there; ``text_of`` takes
    it away again. Whatever could end a cell is in quotes.

    Args:
      file: where the table goes.
      header: names of the columns.
    """

    def __init__(self, file: IO[str], header: Iterable[str]):
        self._file = file
        self.row(header)

    def row(self, cells: Iterable[Any]) -> None:
        """Adds a row."""
        self._file.write(",".join(map(_written, cells)) + "\n")


def text_of(cell: str) -> str:
    """The text that ``Writer`` has written as this cell."""
    return cell[1:] if _MARKED.match(cell) else cell


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    if not isinstance(value, str):
        return str(value)
    if value[:1] in tuple(_ACTIVE) or _MARKED.match(value):
        value = f"'{value}"
    return '"' + value.replace('"', '""') + '"' if _QUOTED.search(value) else value

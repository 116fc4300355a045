"""Tables that read back as they were written, and that no spreadsheet runs."""

import csv
import io

import pytest

from jaxdc.csv_tables import Writer, text_of

NAMES = ["a.png", "a,b", 'say "a"', "a\rb", "a\r\nb", "a\nb", "=cmd|' /C calc'!A0", "+1", "-1", "@sum", "\tx"]
NAMES += ["\r=1", "'", "'a", "'=1", "''=1", "＝1", "a;=1", "a\t=1", "", " =1", "../../x", "\udcff", "a\0b", "é"]
NAMES += ["=,\r\"'"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_is_a_formula_and_all_read_back(separator):
    file = io.StringIO(newline="")
    table = Writer(file, ("sample", "cluster", "confidence"))
    for i, name in enumerate(NAMES):
        table.row((name, -i, 1 / 3))
    text = file.getvalue()
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    assert len(rows) == len(NAMES) + 1
    for cell in (cell for row in rows for cell in row):
        try:
            float(cell.split(",")[0])
        except ValueError:
            assert not cell.startswith(tuple("=+-@\t\r＝")), cell
    if separator == ",":
        assert [[text_of(row[0]), *row[1:]] for row in rows[1:]] == [
            [name, str(-i), "0.333333"] for i, name in enumerate(NAMES)
        ]
        assert "a.png,0,0.333333\n" in text

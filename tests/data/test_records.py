"""Records of TFRecord files by row, against what wrote them."""

import struct

import pytest

from jaxdc.data.records import TFRecords
from jaxdc.errors import InputError


def write(path, values):
    path.write_bytes(b"".join(struct.pack("<QI", len(v), 0) + v + b"\0\0\0\0" for v in values))
    return path


def test_rows_go_on_from_file_to_file(tmp_path):
    values = [b"a", b"", b"ccc" * 1000, b"d"]
    paths = [write(tmp_path / "1", values[:3]), write(tmp_path / "2", []), write(tmp_path / "3", values[3:])]
    records = TFRecords(paths)
    assert len(records) == 4
    assert records.read([3, 0, 2, 1]) == [values[row] for row in (3, 0, 2, 1)]


@pytest.mark.parametrize("n_bytes", [1, 5, 30])
def test_a_file_that_is_cut_short_is_named(tmp_path, n_bytes):
    path = write(tmp_path / "records", [b"whole", b"cut" * 10])
    path.write_bytes(path.read_bytes()[:-n_bytes])
    with pytest.raises(InputError, match="records is truncated: its record 1 extends past the end"):
        TFRecords([path])

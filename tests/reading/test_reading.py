"""Files that lie, expand, never end, or are damaged: each is one sentence, and costs no memory."""

import gzip
import io
import os
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from jaxdc.data import open_source
from jaxdc.errors import InputError
from jaxdc.reading import Archive, check_regular, parse_json, read_array, read_bytes, read_json
from jaxdc.writing import output, replacing

X = np.arange(12, dtype=np.float32).reshape(4, 3)


def npy(shape, dtype="<f8", data=b"12345678", version=b"\x01\x00"):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def npz(path, content, name="x.npy", **changes):
    """An archive of one member, of which the directory says something else."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for field, value in changes.items():
            setattr(archive.filelist[0], field, value)
    return path


def bytes_of(x):
    file = io.BytesIO()
    np.save(file, x, allow_pickle=True)
    return file.getvalue()


HEADERS = [
    (npy("(1000000000000, 4)"), "its header promises 32,000,000,000,000 bytes, but 8 follow"),
    (npy("(-1, 4)"), r"its header says that its shape is \(-1, 4\)"),
    (npy("(" * 2000), "its header is damaged"),
    (npy("(1, 1)", dtype="q9"), "its header is damaged"),
    (npy("(1, 1)", dtype="|O"), "it holds Python objects, where numbers are expected"),
    (npy("(1, 1)", version=b"\x03\x00"), "of version 3.0 of the format"),
    (b"no array", "it is another format, or damaged"),
]


@pytest.mark.parametrize(("content", "words"), HEADERS)
def test_headers_that_lie(tmp_path, content, words):
    (tmp_path / "x.npy").write_bytes(content)
    npz(tmp_path / "x.npz", content)
    tracemalloc.start()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match=words):
            read_array(tmp_path / "x.npy", mmap_mode="r")
        with pytest.raises(InputError, match=words):
            _ = Archive(tmp_path / "x.npz")["x"]
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert not said


def test_archives_are_read_as_numpy_reads_them(tmp_path):
    arrays = {"x": X, "y": np.array(["a", "é"]), "f": np.asfortranarray(X), "e": np.zeros((0, 3))}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    archive = Archive(tmp_path / "a.npz")
    assert archive.files == list(arrays)
    for name, x in arrays.items():
        np.testing.assert_array_equal(archive[name], x)


def flipped(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 255
    path.write_bytes(content)


def test_damaged_archives(tmp_path):
    rng = np.random.default_rng(0)
    np.savez_compressed(tmp_path / "x.npz", x=rng.normal(size=(50, 4)))
    whole = (tmp_path / "x.npz").read_bytes()
    for at in (60, 300, 700, len(whole) - 10):  # header, deflate, checksum, directory
        (tmp_path / "x.npz").write_bytes(whole)
        flipped(tmp_path / "x.npz", at)
        with pytest.raises(InputError, match="it is damaged|another format"):
            _ = Archive(tmp_path / "x.npz")["x"]
    for changes, words in (
        ({"flag_bits": 1}, "encrypted|damaged"),
        ({"compress_type": 99}, "damaged"),
        ({"file_size": 2**40}, "promises|expand|times"),
        ({"compress_size": 2**40}, "larger than the file|damaged"),
    ):
        with pytest.raises(InputError, match=words):
            _ = Archive(npz(tmp_path / "y.npz", bytes_of(X), **changes))["x"]


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxdc.reading.bounds.ALWAYS", 2**16)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes_of(np.zeros((500, 500))))
    with pytest.raises(InputError, match="the array x of .* more than 200 times .* save it with numpy.savez"):
        open_source(str(tmp_path / "x.npz"))
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress(b"\n" * 2_000_000))
    with pytest.raises(InputError, match="t.txt.gz expands from .*: if that is meant, decompress it first"):
        open_source(str(tmp_path / "t.txt.gz"))
    scipy.io.savemat(tmp_path / "m.mat", {"a": np.zeros((900, 900)), "b": np.zeros((900, 2))}, do_compression=True)
    with pytest.raises(InputError, match="m.mat expands from .* save it with -v6"):
        open_source(str(tmp_path / "m.mat"))
    sparse = scipy.sparse.csc_matrix(([1.0], ([0], [0])), shape=(2**20, 2**20))
    scipy.io.savemat(tmp_path / "s.mat", {"a": sparse})
    with pytest.raises(InputError, match="the sparse matrix a of .* would take 8,192.0 GiB"):
        open_source(str(tmp_path / "s.mat"))


def test_images_that_expand_are_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxdc.data.images.PLAIN_BYTES", 2**10)
    file = io.BytesIO()
    Image.new("L", (3000, 3000)).save(file, "PNG")
    content = np.frombuffer(file.getvalue(), np.uint8)
    np.savez(tmp_path / "x.npz", jpeg=content, offset=np.array([0, len(content)]))
    with pytest.raises(InputError, match="image 0 can't be read .3000 x 3000 pixels in .* bytes are no picture"):
        open_source(str(tmp_path / "x.npz"))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(file.getvalue())
    with pytest.raises(InputError, match="3000 x 3000 pixels in .* bytes are no picture"):
        open_source(str(tmp_path / "pictures"))


@pytest.mark.parametrize("offset", [[0.0, 3.0], [3, 0], [0, 9]])
def test_offsets_of_encoded_images(tmp_path, offset):
    np.savez(tmp_path / "x.npz", jpeg=np.zeros(3, np.uint8), offset=np.array(offset))
    with pytest.raises(InputError, match="offset must increase from 0 to at most 3"):
        open_source(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x.mat", "x.txt", "x.jsonl", "x.txt.gz", "x.csv.gz"])
def test_what_never_ends_is_not_begun(tmp_path, name):
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=f"{name} "):
        open_source(str(tmp_path / name))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name} "):
        open_source(str(tmp_path / name))
    with pytest.raises(InputError, match="a device or a pipe"):
        check_regular(tmp_path / name)


def test_json(tmp_path):
    for text, words in (
        ("[" * 10_000, "it is nested too deep to be read"),
        ('{"a": ' + "1" * 5_000 + "}", "it has a number of too many digits"),
        ('{"a": ', "it has invalid JSON"),
        (b"\xff\xfe\x00\xff", "it has invalid JSON"),
    ):
        with pytest.raises(InputError, match=words):
            parse_json(text, "it")
    (tmp_path / "a.json").write_text('{"a": [1, null]}')
    assert read_json(tmp_path / "a.json") == {"a": [1, None]}
    with pytest.raises(InputError, match="b.json can't be read: No such file"):
        read_json(tmp_path / "b.json")
    (tmp_path / "a.jsonl").write_text("[" * 10_000)
    with pytest.raises(InputError, match="line 1 of .* is nested too deep"):
        open_source(str(tmp_path / "a.jsonl"))


def test_gzip(tmp_path):
    content = gzip.compress(bytes(range(256)) * 9)
    (tmp_path / "a.gz").write_bytes(content)
    assert read_bytes(tmp_path / "a.gz") == bytes(range(256)) * 9
    for damaged in (content[:-9], content[:15] + b"\0\0\0\0" + content[19:], b"no gzip", content + b"more"):
        (tmp_path / "a.gz").write_bytes(damaged)
        with pytest.raises(InputError, match="a.gz can't be read"):
            read_bytes(tmp_path / "a.gz")


def test_an_output_is_written_through_or_refused(tmp_path):
    with output(tmp_path / "a.csv") as file:
        file.write("1")
    (tmp_path / "link.csv").symlink_to("a.csv")
    with output(tmp_path / "link.csv") as file:
        file.write("2")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "a.csv").read_text() == "2"
    read, write = os.pipe()
    with output(Path(f"/dev/fd/{write}")) as file:
        file.write("3")
    os.close(write)
    assert os.read(read, 9) == b"3"
    os.close(read)
    with output(Path("/dev/null")) as file:
        file.write("4")
    assert not Path("/dev/null").is_file()
    with pytest.raises(InputError, match="it is a folder, not a file"), output(tmp_path):
        pass


def test_a_link_laid_in_the_way_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for name in (".a.json.partial", "a.json"):
        (tmp_path / name).symlink_to("mine")
    with replacing(tmp_path / "a.json") as file:
        file.write("new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "a.json").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="it is a pipe, not a file"), replacing(tmp_path / "pipe"):
        pass

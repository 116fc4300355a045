import tracemalloc

import numpy as np
import pytest

from jaxdc import cli
from jaxdc.cli import predict
from jaxdc.data import ArraySource, open_source
from jaxdc.data import mapped as mapping
from jaxdc.data.mapped import MappedSource
from jaxdc.errors import InputError

pytestmark = pytest.mark.usefixtures("one_device_alone")


def saved(path, x):
    np.save(path, x)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint8"])
@pytest.mark.parametrize("shape", [(23, 3), (23, 4, 4), (23, 2, 2, 3)])
def test_the_same_samples_as_in_memory(dtype, shape, tmp_path, monkeypatch):
    monkeypatch.setattr(mapping, "BLOCK_BYTES", 100)
    x = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    there, here = MappedSource(saved(tmp_path / "x.npy", x), name="x"), ArraySource(x)
    assert there.fingerprint() == here.fingerprint()
    assert (there.shape, there.dtype, there.n_samples, there.array) == (here.shape, here.dtype, 23, None)
    assert there.rms() == here.rms()
    for method in (
        lambda s: s.blocks(5, shard=(1, 2)),
        lambda s: s.batches(4, seed=1, epoch=2, skip=1, shard=(0, 2)),
    ):
        pairs = list(zip(method(there), method(here), strict=True))
        assert pairs
        for (a, rows), (b, expected) in pairs:
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(rows, expected)


def test_a_bad_value_is_found_in_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(mapping, "BLOCK_BYTES", 100)
    x = np.zeros((40, 3))
    x[31, 2] = np.inf
    with pytest.raises(InputError, match="big has inf in row 31, column 2"):
        MappedSource(saved(tmp_path / "x.npy", x), name="big")
    with pytest.raises(InputError, match="needs numbers"):
        MappedSource(saved(tmp_path / "x.npy", np.array([["a"]])), name="big")


def test_memory_does_not_grow_with_the_file(tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float64, (40_000, 200))
    x[:] = 1.0
    tracemalloc.start()
    try:
        source = open_source(str(tmp_path / "x.npy"), resident_bytes=2**20)
        for block, _ in source.blocks(1024, shard=(0, 1)):
            assert block.dtype == np.float32
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20  # of 61 MiB on disk
    finally:
        tracemalloc.stop()


def test_a_table_is_read_a_part_at_a_time(tmp_path, monkeypatch):
    from jaxdc.data import csv_files

    monkeypatch.setattr(csv_files, "BLOCK", 3)
    lines = [f"{i},{'ab'[i % 2]},{i / 2}" for i in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["x,label,z", *lines]))
    source = open_source(str(tmp_path / "t.csv"))
    np.testing.assert_array_equal(source.array, [[i, i / 2] for i in range(10)])
    assert source.labels.tolist() == list("ababababab")
    for wrong, where in (("x,a,1", "'x' in line 9, column x"), ("1,a", "2 values in line 9, but 3 columns")):
        (tmp_path / "t.csv").write_text("\n".join(["x,label,z", *lines[:7], wrong, *lines[8:]]))
        with pytest.raises(InputError, match=where):
            open_source(str(tmp_path / "t.csv"))


@pytest.mark.full
def test_predict_streams_what_is_large(tmp_path, monkeypatch, capsys):
    x = np.random.default_rng(0).normal(size=(3000, 4)) + 9.0 * (np.arange(3000) % 2)[:, None]
    np.save(tmp_path / "x.npy", x)
    run, out = tmp_path / "run", tmp_path / "out.csv"
    cli.main(
        [
            "train",
            "kmeans",
            "--data",
            str(tmp_path / "x.npy"),
            "--n-clusters",
            "2",
            "--workdir",
            str(run),
            "--no-report",
        ]
    )
    opened = []
    init = MappedSource.__init__
    monkeypatch.setattr(MappedSource, "__init__", lambda self, *a, **k: (opened.append(k), init(self, *a, **k))[1])
    monkeypatch.setattr(predict, "PREDICT_BYTES", 1000)
    cli.main(["predict", str(run), "--data", str(tmp_path / "x.npy"), "--output", str(out)])
    assert opened and out.read_text() == (run / "assignments.csv").read_text()
    assert not list(tmp_path.glob(".*"))

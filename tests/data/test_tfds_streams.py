"""Streamed sets of TensorFlow Datasets: order, resume, shards, decoding. Needs the extra ``data``."""

import io
import itertools
import os
from collections import Counter

import numpy as np
import pytest
import tfds_sets
from PIL import Image

from jaxdc import fit, load
from jaxdc.data import open_source, records
from jaxdc.data.ahead import BATCHES_AHEAD
from jaxdc.errors import InputError
from jaxdc.methods import AE
from jaxdc.methods.base import Experiment, Stage

tfds = pytest.importorskip("tensorflow_datasets", reason="the extra jaxdc[data] is not installed")

N = 203


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    x = np.random.default_rng(0).integers(256, size=(N, 5, 4, 3), dtype=np.uint8)
    examples = [(tfds_sets.encoded(image), i % 10) for i, image in enumerate(x)]
    splits = {"train": examples[:150], "test": examples[150:]}
    return tfds_sets.write(tmp_path_factory.mktemp("tfds"), splits, shape=(5, 4, 3), n_files=3)


def stream(folder, **options):
    return open_source("photos", data_dir=folder, resident_bytes=0, **options)


def rows_of(blocks):
    return [rows.tolist() for _, rows in blocks]


def joined(lists):
    return list(itertools.chain.from_iterable(lists))


def test_rows_labels_and_images_are_those_of_the_set_in_memory(folder):
    resident, source = open_source("photos", data_dir=folder), stream(folder)
    assert source.array is None and resident.array.shape == (N, 5, 4, 3)
    assert source.labels.tolist() == resident.labels.tolist() == [i % 10 for i in range(N)]
    for x, rows in [
        *source.batches(16, seed=0, epoch=0, skip=0, shard=(0, 1)),
        *source.blocks(50, shard=(1, 2)),
    ]:
        np.testing.assert_array_equal(x, resident.array[rows])
    assert stream(folder, split="test").labels.tolist() == [i % 10 for i in range(150, N)]


@pytest.mark.parametrize("n_processes", [2, 4, 8])
def test_an_epoch_has_one_order_on_any_number_of_processes(folder, n_processes):
    source, batch = stream(folder), 24
    alone = rows_of(source.batches(batch, seed=3, epoch=2, skip=0, shard=(0, 1)))
    parts = [
        rows_of(source.batches(batch // n_processes, seed=3, epoch=2, skip=0, shard=(i, n_processes)))
        for i in range(n_processes)
    ]
    assert [joined(batch) for batch in zip(*parts, strict=True)] == alone
    assert len(alone) == N // batch
    assert max(Counter(joined(alone)).values()) == 1
    assert alone != rows_of(source.batches(batch, seed=3, epoch=3, skip=0, shard=(0, 1)))


def test_every_sample_is_in_one_block(folder):
    found = [joined(rows_of(stream(folder).blocks(16, shard=(i, 3)))) for i in range(3)]
    assert sorted(joined(found)) == list(range(N))


@pytest.mark.parametrize("skip", [0, 40])
def test_to_resume_reads_what_is_needed_alone(folder, monkeypatch, skip):
    source, read, pread = stream(folder), [], os.pread
    monkeypatch.setattr(records.os, "pread", lambda *args: read.append(args) or pread(*args))
    alone = rows_of(source.batches(4, seed=0, epoch=1, skip=0, shard=(0, 1)))[skip]
    read.clear()
    batches = source.batches(2, seed=0, epoch=1, skip=skip, shard=(1, 2))
    assert next(batches)[1].tolist() == alone[2:]
    batches.close()
    assert 2 <= len(read) <= 2 * (1 + BATCHES_AHEAD)  # a read for each sample


def test_labels_are_read_without_the_images(tmp_path, monkeypatch):
    image = tfds_sets.encoded(np.random.default_rng(0).integers(256, size=(200, 200, 3), dtype=np.uint8))
    text = (tfds.features.Text(), "x" * 3000)
    folder = tfds_sets.write(
        tmp_path, {"train": [(image, i) for i in range(4)]}, extra={"about": text, "zeta": text}
    )
    n_bytes, pread = [], os.pread
    monkeypatch.setattr(records.os, "pread", lambda file, n, at: n_bytes.append(n) or pread(file, n, at))
    source = stream(folder, image_size=8)
    assert source.labels.tolist() == [0, 1, 2, 3]
    assert len(image) > 100_000 > 2 * sum(n_bytes)


def test_array_records(tmp_path):
    pytest.importorskip("array_record")
    x = np.random.default_rng(0).integers(256, size=(7, 4, 4, 3), dtype=np.uint8)
    examples = [(tfds_sets.encoded(image), i) for i, image in enumerate(x)]
    folder = tfds_sets.write(tmp_path, {"train": examples}, kind="array_record", shape=(4, 4, 3))
    source = stream(folder)
    assert source.labels.tolist() == list(range(7))
    [(found, rows)] = source.read(iter([np.array([6, 0, 3, 6])]))
    np.testing.assert_array_equal(found, x[rows])


@pytest.mark.parametrize("shape", [(300, 400), (375, 500), (640, 600), (1300, 1024), (40, 50)])
def test_a_jpeg_is_nearly_its_antialiased_central_square(tmp_path, shape):
    image = tfds_sets.smooth(*shape)
    jpeg = tfds_sets.encoded(image, "JPEG", quality=95)
    folder = tfds_sets.write(tmp_path, {"train": [(jpeg, 0)]}, n_files=1)
    [(found, _)] = stream(folder, image_size=128).blocks(1, shard=(0, 1))
    side, (height, width) = min(shape), shape
    left, top = (width - side) / 2, (height - side) / 2
    square = Image.open(io.BytesIO(jpeg)).resize(
        (128, 128), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
    )
    difference = np.abs(found[0].astype(float) - np.asarray(square, float))
    assert difference.mean() < 0.6
    assert difference.max() <= 5


def test_other_formats_are_antialiased(tmp_path):
    stripes = np.zeros((160, 200, 3), np.uint8)
    stripes[:, ::2] = 200
    folder = tfds_sets.write(tmp_path, {"train": [(tfds_sets.encoded(stripes), 0)]}, n_files=1)
    [(found, _)] = stream(folder, image_size=32).blocks(1, shard=(0, 1))
    assert np.abs(found.astype(int) - 100).max() <= 12


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_images_are_stretched_if_asked_for(tmp_path, resample):
    image = tfds_sets.smooth(60, 90)
    files = [tfds_sets.encoded(image), tfds_sets.encoded(image, "JPEG")]
    folder = tfds_sets.write(tmp_path, {"train": [(file, 0) for file in files]}, n_files=1)
    [(found, _)] = stream(folder, image_size=30, stretch=True, resample=resample).blocks(2, shard=(0, 1))
    for x, file in zip(found, files, strict=True):
        expected = Image.open(io.BytesIO(file)).resize((30, 30), Image.Resampling[resample.upper()])
        assert np.abs(x.astype(int) - np.asarray(expected, int)).max() <= 3


def test_grey_and_coloured_jpegs_become_what_the_set_says(tmp_path):
    grey, coloured = tfds_sets.smooth(50, 50, 1), tfds_sets.smooth(50, 50)
    examples = [(tfds_sets.encoded(x, "JPEG"), 0) for x in (grey, coloured)]
    for n_channels in (1, 3):
        folder = tfds_sets.write(
            tmp_path / str(n_channels), {"train": examples}, n_files=1, shape=(None, None, n_channels)
        )
        [(found, _)] = stream(folder, image_size=20).blocks(2, shard=(0, 1))
        assert found.shape == (2, 20, 20, n_channels)


def test_how_images_are_resized_is_in_the_fingerprint(folder):
    sources = [stream(folder), stream(folder, image_size=5), stream(folder, image_size=5, stretch=True)]
    assert len({source.fingerprint() for source in sources}) == 3


@pytest.mark.full
def test_a_run_in_the_order_of_before_is_not_resumed(folder, tmp_path, one_device):
    def run(source):
        stage = Stage(method=AE(n_clusters=3, hidden=(16,), n_init=1), steps=2, batch_size=16)
        return fit(Experiment((stage,)), source, devices=one_device, workdir=tmp_path / "run")

    old, new = stream(folder), stream(folder)
    old.order = ""  # config.json says nothing of the order then
    run(old)
    with pytest.raises(InputError, match="data.order is None there and 'permutation' here"):
        run(new)
    assert load(tmp_path / "run").predict(new).shape == (N,)


def test_what_is_wrong_is_told(tmp_path):
    good, bad = tfds_sets.encoded(tfds_sets.smooth(9, 9), "JPEG"), b"\xff\xd8\xffno picture"
    folder = tfds_sets.write(tmp_path / "a", {"train": [(good, 0), (good, 1), (bad, 2)]}, n_files=1)
    source = stream(folder, image_size=4)
    with pytest.raises(InputError, match="the image in record 2 of photos can't be read"):
        list(source.blocks(3, shard=(0, 1)))
    with pytest.raises(InputError, match="differ in size: pass one with --image-size"):
        stream(folder)
    [path] = (folder / "photos" / "1.0.0").glob("*.tfrecord*")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="photos-train.* is truncated: its record 2"):
        stream(folder, image_size=4)
    folder = tfds_sets.write(tmp_path / "b", {"train": [(good, 0)]}, n_files=1)
    [path] = (folder / "photos" / "1.0.0").glob("*.tfrecord*")
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(InputError, match="hold 2 records, but its description counts 1: prepare it again"):
        stream(folder, image_size=4)
    info = folder / "photos" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace('"tfrecord"', '"riegeli"'))
    with pytest.raises(InputError, match="prepared as riegeli, which can't be read by row: prepare it again as"):
        stream(folder, image_size=4)

"""TensorFlow Datasets, on the real files. Needs the extra ``data``."""

import numpy as np
import pytest

from jaxdc import fit
from jaxdc.data import open_source, split_names
from jaxdc.errors import InputError
from jaxdc.methods import AE
from jaxdc.methods.base import Experiment, Stage

pytest.importorskip("tensorflow_datasets", reason="the extra jaxdc[data] is not installed")
pytestmark = pytest.mark.realdata


@pytest.fixture
def folder(real_data):
    return real_data / "tfds"


def test_mnist_is_read_in_order_and_whole(folder):
    source = open_source("mnist", data_dir=folder)
    assert source.array.shape == (70_000, 28, 28, 1)
    assert source.protocol == "train+test"
    assert np.bincount(source.labels).tolist() == [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]
    assert open_source("mnist", data_dir=folder, split="test").n_samples == 10_000
    assert split_names("mnist", data_dir=folder) == ("train", "test")


def test_streaming_reads_the_same_images(folder):
    resident = open_source("cifar10", data_dir=folder, split="test")
    stream = open_source("cifar10", data_dir=folder, split="test", resident_bytes=0)
    assert stream.array is None
    np.testing.assert_array_equal(stream.labels, resident.labels)
    for shard in ((0, 1), (1, 2)):
        x, rows = next(stream.blocks(100, shard=shard))
        np.testing.assert_array_equal(x, resident.array[rows])
    batches = list(stream.batches(128, seed=0, epoch=1, skip=0, shard=(0, 2)))
    assert len(batches) == 10_000 // 256
    rows = np.concatenate([rows for _, rows in batches])
    assert len(set(rows)) == len(rows)
    for x, rows in batches[:2]:
        np.testing.assert_array_equal(x, resident.array[rows])
    again = next(stream.batches(128, seed=0, epoch=1, skip=3, shard=(0, 2)))
    np.testing.assert_array_equal(again[1], batches[3][1])
    other = next(stream.batches(128, seed=0, epoch=2, skip=0, shard=(0, 2)))
    assert not np.array_equal(other[1], batches[0][1])


def test_samples_are_read_by_row(folder):
    resident = open_source("cifar10", data_dir=folder)
    stream = open_source("cifar10", data_dir=folder, resident_bytes=0)
    # Of both splits, out of order, one of them twice; the last batch is short.
    batches = [np.array([59_999, 3, 50_000, 3]), np.array([0, 49_999])]
    found = list(stream.read(iter(batches)))
    assert [rows.tolist() for _, rows in found] == [batch.tolist() for batch in batches]
    for x, rows in found:
        np.testing.assert_array_equal(x, resident.array[rows])


def test_a_streamed_run_trains(folder, one_device):
    source = open_source("mnist", data_dir=folder, split="test", image_size=14, resident_bytes=0)
    assert source.shape == (14, 14, 1)
    stage = Stage(method=AE(n_clusters=10, hidden=(64,), n_init=2), steps=400)
    result = fit(Experiment((stage,)), source, devices=one_device)
    assert result.embeddings.shape == (10_000, 10)
    assert result.metrics["acc"] > 0.3
    losses = [row["loss"] for row in result.history if "loss" in row]
    assert losses[-1] < 0.7 * losses[0]


def test_what_is_wrong_is_told(folder, tmp_path):
    with pytest.raises(InputError, match="no split 'tset'; it has"):
        open_source("mnist", data_dir=folder, split="tset")
    with pytest.raises(InputError, match="--download"):
        open_source("kmnist", data_dir=tmp_path)
    with pytest.raises(InputError, match="no set 'nosuchset'"):
        open_source("nosuchset", data_dir=folder)

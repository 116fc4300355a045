"""Which labels and which splits of a TensorFlow Datasets set are taken: on small sets prepared here."""

import types

import numpy as np
import pytest

from jaxdc.data import open_source

tfds = pytest.importorskip("tensorflow_datasets", reason="the extra jaxdc[data] is not installed")


def prepare(monkeypatch, folder, name, splits):
    """Writes a set with the real one's name, version and features, and these examples."""
    builder = tfds.builder(name, data_dir=folder)
    generators = {split: list(enumerate(examples)) for split, examples in splits.items()}
    monkeypatch.setattr(type(builder), "_split_generators", lambda self, manager: generators)
    nothing = types.SimpleNamespace(downloaded_size=0)
    monkeypatch.setattr(type(builder), "_make_download_manager", lambda self, *args, **kwargs: nothing)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))


def images(n, side, seed=0):
    return np.random.default_rng(seed).integers(256, size=(n, side, side, 3), dtype=np.uint8)


@pytest.mark.full
def test_stl_10_with_its_unlabelled_images(tmp_path, monkeypatch):
    x = images(9, 96)
    labels = [3, 1, 2, 0, 7, -1, -1, -1, -1]
    examples = [{"image": image, "label": label} for image, label in zip(x, labels, strict=True)]
    splits = {"unlabelled": examples[5:], "train": examples[:2], "test": examples[2:5]}
    prepare(monkeypatch, tmp_path, "stl10", splits)
    labelled = open_source("stl10", data_dir=tmp_path)
    assert (labelled.n_samples, labelled.n_reported) == (5, None)
    for resident_bytes in (2**31, 0):
        source = open_source("stl10", data_dir=tmp_path, split="all+unlabelled", resident_bytes=resident_bytes)
        assert (source.array is None) == (resident_bytes == 0)
        assert (source.n_samples, source.n_reported) == (9, 5)
        assert set(source.protocol.split("+")[:2]) == {"train", "test"}
        assert source.use.endswith("scored on the first 5 of 9")
        first, rows = next(source.blocks(9, shard=(0, 1)))
        np.testing.assert_array_equal(first[:5], labelled.array)
        np.testing.assert_array_equal(source.labels, labelled.labels)
        assert len(rows) == 9
    alone = open_source("stl10", data_dir=tmp_path, split="unlabelled")
    assert (alone.n_samples, alone.n_reported, alone.labels) == (4, None, None)


def test_cifar_100_with_its_20_superclasses(tmp_path, monkeypatch):
    fine, coarse, x = [5, 99, 0, 7], [1, 19, 0, 1], images(4, 32)
    examples = [{"id": str(i), "image": x[i], "label": fine[i], "coarse_label": coarse[i]} for i in range(len(x))]
    prepare(monkeypatch, tmp_path, "cifar100", {"train": examples[:3], "test": examples[3:]})
    source = open_source("cifar100_20", data_dir=tmp_path)
    assert (source.name, source.protocol, source.shape) == ("cifar100_20", "train+test", (32, 32, 3))
    # Examples lie shuffled on disk.
    own = open_source("cifar100", data_dir=tmp_path)
    np.testing.assert_array_equal(own.array, source.array)
    assert sorted(zip(own.labels, source.labels, strict=True)) == sorted(zip(fine, coarse, strict=True))
    assert source.labels[3] == 1
    streamed = open_source("cifar100_20", data_dir=tmp_path, split="test", resident_bytes=0)
    np.testing.assert_array_equal(streamed.labels, [1])

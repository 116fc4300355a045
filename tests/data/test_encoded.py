import io

import numpy as np
import pytest
from PIL import Image

from jaxdc.data import open_source
from jaxdc.errors import InputError


def encode(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def arrays(images, prefix="", labels=None):
    files = [encode(image) for image in images]
    made = {
        f"{prefix}jpeg": np.frombuffer(b"".join(files), np.uint8),
        f"{prefix}offset": np.cumsum([0, *map(len, files)]),
    }
    return made if labels is None else {**made, f"{prefix}label": np.asarray(labels)}


def images(n, seed=0, shape=(6, 6, 3)):
    return np.random.default_rng(seed).integers(256, size=(n, *shape), dtype=np.uint8)


@pytest.fixture
def two_splits(tmp_path):
    path = tmp_path / "set.npz"
    train, test = images(5), images(3, seed=1)
    np.savez(path, **arrays(train, "train_", range(5)), **arrays(test, "test_", [7, 8, 9]), classes=["a", "b"])
    return path, train, test


def test_all_splits_one_after_another(two_splits):
    path, train, test = two_splits
    source = open_source(str(path))
    np.testing.assert_array_equal(source.array, np.concatenate([train, test]))
    np.testing.assert_array_equal(source.labels, [0, 1, 2, 3, 4, 7, 8, 9])
    assert source.protocol == "train + test (8 samples)"


def test_one_split_by_name(two_splits):
    path, _, test = two_splits
    source = open_source(str(path), split="test")
    np.testing.assert_array_equal(source.array, test)
    assert source.protocol == "test (3 samples)"
    with pytest.raises(InputError, match="no split 'valid'; it has 'train', 'test'"):
        open_source(str(path), split="valid")


def test_a_split_without_labels_is_trained_on_and_not_reported(two_splits):
    path, train, test = two_splits
    more = images(4, seed=2)
    with np.load(path) as held:
        np.savez(path, **arrays(more, "unlabelled_"), **held)
    assert open_source(str(path)).n_samples == 8
    source = open_source(str(path), split="unlabelled+all")
    np.testing.assert_array_equal(source.array, np.concatenate([train, test, more]))
    np.testing.assert_array_equal(source.labels, [0, 1, 2, 3, 4, 7, 8, 9])
    assert source.n_reported == 8
    assert source.protocol == "train + test + unlabelled (12 samples)"
    assert open_source(str(path), split="unlabelled").n_reported is None


def test_without_prefix_labels_or_colours_and_in_another_size(tmp_path):
    path = tmp_path / "grey.npz"
    grey = images(4, shape=(6, 6))
    np.savez(path, **arrays(grey))
    source = open_source(str(path))
    assert source.labels is None
    np.testing.assert_array_equal(source.array[..., 0], grey)
    assert open_source(str(path), image_size=12).shape == (12, 12, 1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"offset": np.array([0, 5, 3, 9])}, "offset must increase"),
        ({"offset": np.array([0, 10**6])}, "offset must increase"),
        ({"label": np.arange(2)}, r"label has shape \(2,\) for 4 images"),
        ({"jpeg": np.zeros(10**4, np.uint8)}, "image 0 can't be read"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, word):
    path = tmp_path / "bad.npz"
    np.savez(path, **{**arrays(images(4)), **change})
    with pytest.raises(InputError, match=word):
        open_source(str(path))


def test_a_broken_image_in_the_middle_is_named(tmp_path):
    path = tmp_path / "bad.npz"
    made = arrays(images(4))
    data = made["jpeg"].copy()
    data[made["offset"][2] : made["offset"][3]] = 0
    np.savez(path, **{**made, "jpeg": data})
    with pytest.raises(InputError, match="image 2 can't be read"):
        open_source(str(path))


@pytest.mark.realdata
def test_cifar10(real_data):
    source = open_source(str(real_data / "cifar10_jpeg.npz"), split="test")
    assert source.array.shape == (10_000, 32, 32, 3)
    assert np.bincount(source.labels).tolist() == [1000] * 10

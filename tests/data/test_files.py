from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxdc.data import ArraySource, StandardizedSource, open_source, split_names
from jaxdc.errors import InputError


def test_digits_are_embedded():
    source = open_source("digits")
    assert (source.n_samples, source.shape, source.dtype) == (1797, (8, 8, 1), np.uint8)
    assert source.array.max() == 255
    assert len(np.unique(source.labels)) == 10


def test_npy_and_npz(tmp_path):
    x = np.arange(12.0).reshape(6, 2)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "b.npz", x=x, y=list("aabbcc"))
    np.testing.assert_array_equal(open_source(str(tmp_path / "a.npy")).array, x)
    source = open_source(str(tmp_path / "b.npz"))
    assert source.labels.tolist() == list("aabbcc")
    assert source.array.dtype == np.float32


def test_csv_with_and_without_names(tmp_path):
    (tmp_path / "plain.csv").write_text("1,2\n3,4\n")
    np.testing.assert_array_equal(open_source(str(tmp_path / "plain.csv")).array, [[1, 2], [3, 4]])
    (tmp_path / "named.csv").write_text("width,Class,height\n1,cat,2\n3,dog,4e1\n")
    source = open_source(str(tmp_path / "named.csv"))
    np.testing.assert_array_equal(source.array, [[1, 2], [3, 40]])
    assert source.labels.tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "a,b\n", "no rows"),
        ("a.csv", "a,b\n1,2\n3\n", "1 values in line 3, but 2 columns"),
        ("a.csv", "a,b\n1,2\n3,red\n", "'red' in line 3, column b"),
        ("a.csv", "a,b\n1,2\n3,\n", "nothing in line 3, column b"),
        ("a.csv", "a,b\n1,2\n3,nan\n", "nan in row 1, column 1"),
        ("a.csv", "1,2\n3,inf\n", "inf in row 1, column 1"),
        ("a.csv", "label\n1\n", "no columns other than"),
        ("a.csv", b"\xff\xfe1,2", "UTF-8"),
        ("a.npy", b"no array", "can't be read"),
        ("a.npz", b"PK\x03\x04broken", "can't be read"),
        ("a.parquet", b"PAR1", "Parquet"),
        ("a.xlsx", b"PK", "file ending in .npy, .npz, .csv, .parquet, .mat, .txt, .jsonl"),
    ],
)
def test_bad_files_get_one_sentence(name, content, word, tmp_path):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=word):
        open_source(str(path))


@pytest.mark.parametrize(
    ("x", "labels", "word"),
    [
        (np.array([["a"]]), None, "needs numbers"),
        (np.ones(4), None, r"shape \(4,\)"),
        (np.ones((2, 3, 4, 5, 6)), None, "must be a matrix"),
        (np.ones((0, 4)), None, "is empty"),
        (np.ones((4, 0)), None, "is empty"),
        (np.ones((3, 2)), [0, 1], r"3 samples but labels of shape \(2,\)"),
        (np.array([[1.0, 2.0], [3.0, np.nan], [np.inf, 0.0]]), None, r"nan in row 1, column 1 \(and 1 more\)"),
        (np.ones((2, 2), complex), None, "needs numbers"),
    ],
)
def test_bad_arrays_get_one_sentence(x, labels, word):
    with pytest.raises(InputError, match=word):
        ArraySource(x, labels)


def test_a_large_file_streams(tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    source = open_source(str(tmp_path / "x.npy"), resident_bytes=1000)
    assert source.array is None
    np.testing.assert_array_equal(np.concatenate([b for b, _ in source.blocks(30, shard=(0, 1))]), x)


def test_only_sets_of_encoded_images_have_splits(tmp_path):
    image = {"jpeg": np.zeros(4, np.uint8), "offset": [0, 4]}
    files = {
        "splits": {f"{split}_{name}": value for split in ("train", "test") for name, value in image.items()},
        "unnamed": image,
        "array": {"x": np.ones((3, 2)), "train_jpeg": image["jpeg"]},
    }
    for name, arrays in files.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    found = {name: split_names(str(tmp_path / f"{name}.npz")) for name in files}
    assert found == {"splits": ("train", "test"), "unnamed": (), "array": ()}
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    assert split_names(str(tmp_path / "x.npy")) == split_names(str(tmp_path)) == split_names("digits") == ()
    with pytest.raises(InputError, match="there is no file or folder"):
        split_names(str(tmp_path / "y.npz"))
    with pytest.raises(InputError, match="did you mean mnist"):
        split_names("mnits")


def test_images_have_a_size():
    with pytest.raises(InputError, match="at least 1 pixel, but is 0"):
        open_source("digits", image_size=0)


def test_missing_names_say_what_is_near(tmp_path):
    with pytest.raises(InputError, match="did you mean mnist"):
        open_source("mnits")
    with pytest.raises(InputError, match="there is no file or folder"):
        open_source(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="there is no file or folder x.npy"):
        open_source("x.npy")
    np.savez(tmp_path / "a.npz", features=np.ones((2, 2)))
    with pytest.raises(InputError, match="no array x; it holds features"):
        open_source(str(tmp_path / "a.npz"))


def test_without_tensorflow_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match=r"pip install 'jaxdc\[data\]'"):
        open_source("mnist")


def test_an_epoch_holds_every_sample_once_on_all_shards():
    source = ArraySource(np.arange(20.0)[:, None])
    seen = [rows for shard in range(2) for _, rows in source.batches(2, seed=0, epoch=3, skip=0, shard=(shard, 2))]
    assert sorted(np.concatenate(seen)) == list(range(20))
    other = [rows for _, rows in source.batches(4, seed=0, epoch=4, skip=0, shard=(0, 1))]
    again = [rows for _, rows in source.batches(4, seed=0, epoch=3, skip=0, shard=(0, 1))]
    assert not np.array_equal(np.concatenate(other), np.concatenate(again))
    # Going on in the middle: the same batches as if the first two had been read.
    skipped = [rows for _, rows in source.batches(4, seed=0, epoch=3, skip=2, shard=(0, 1))]
    np.testing.assert_array_equal(np.concatenate(skipped), np.concatenate(again[2:]))
    # Two processes read together what one reads alone.
    np.testing.assert_array_equal(np.concatenate([seen[0], seen[5]]), again[0])


def test_standardized_columns():
    x = np.random.default_rng(0).normal(size=(50, 3)) * [1, 100, 0] + [5, 0, 7]
    source = StandardizedSource.of(ArraySource(x))
    np.testing.assert_allclose(source.array.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(source.array.std(axis=0), [1, 1, 0], atol=1e-5)
    with pytest.raises(InputError, match="only tables"):
        StandardizedSource.of(open_source("digits"))


def test_rms():
    assert ArraySource(np.full((10, 2), 3.0)).rms() == pytest.approx(3.0)
    assert ArraySource(np.full((10, 2, 2, 1), 51, np.uint8)).rms() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", None, "b"], "label None in row 1; pass no labels"),
        (["a", "b", float("nan")], "label nan in row 2; pass no labels"),
        (np.array(["a", "b", np.nan]), "label nan in row 2; pass no labels"),
        (np.array(["a", np.nan, "b"], object), "label nan in row 1; pass no labels"),
        (np.array([0, None, 1], object), "label None in row 1; pass no labels"),
        ([0.0, np.inf, 1.0], "label inf in row 1; pass no labels"),
        (["a", 1, "b"], "several kinds: row 0 is a text, row 1 a number"),
        ([1, 2, "b"], "several kinds: row 0 is a number, row 2 a text"),
        (np.array([True, 2, 3], object), "several kinds: row 0 is a truth value, row 1 a number"),
        (np.array([{}, {}, {}], object), "has labels of type dict; give numbers or texts"),
        ([0, 1], r"3 samples but labels of shape \(2,\)"),
    ],
)
def test_labels_that_are_missing_or_mixed_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        ArraySource(np.eye(3), labels)


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ([0, 1, np.int64(1)], [0, 1, 1]),
        (["a", np.str_("b"), "b"], ["a", "b", "b"]),
        (np.array(["a", "b", "b"], object), ["a", "b", "b"]),
        (np.array([0, 1.0, np.int8(2)], object), [0, 1, 2]),
        ([True, False, True], [True, False, True]),
    ],
)
def test_labels_of_one_kind_are_kept(labels, kept):
    found = ArraySource(np.eye(3), labels).labels
    assert found.tolist() == kept
    assert found.dtype != object


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "views.npz", "a.csv", "folder", "a.txt", "digits"])
def test_a_split_of_data_without_splits_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.eye(4))
    np.savez("a.npz", x=np.eye(4))
    np.savez("views.npz", left=np.eye(4), right=np.eye(4))
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "a.txt").write_text("cats\ndogs\n")
    (tmp_path / "folder").mkdir()
    Image.new("L", (8, 8)).save("folder/a.png")
    with pytest.raises(InputError, match=f"--split nosuch needs data with splits, but {name} has none"):
        open_source(name, split="nosuch")


@pytest.mark.parametrize("kind", [str, Path])
def test_places_are_strings_or_paths(tmp_path, kind):
    np.save(tmp_path / "x.npy", np.eye(3))
    assert open_source(kind(tmp_path / "x.npy"), data_dir=kind(tmp_path)).n_samples == 3
    assert split_names(kind(tmp_path / "x.npy"), data_dir=kind(tmp_path)) == ()

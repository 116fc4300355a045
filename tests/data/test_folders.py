import os

import numpy as np
import pytest
from PIL import Image

from jaxdc.data import image_files, open_source
from jaxdc.data.folders import files_below, subfolder_classes
from jaxdc.errors import InputError


def save(path, value=128, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (value, value, value)).save(path, **kwargs)


def names(source, folder):
    return [os.path.relpath(name, folder) for name in source.sample_names]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jfif", "JPEG"),
        ("a.jpe", "JPEG"),
        ("a.JPG", "JPEG"),
        ("a.avif", "AVIF"),
        ("a.jp2", "JPEG2000"),
        ("a.tga", "TGA"),
        ("a.apng", "PNG"),
        ("a.ico", "ICO"),
        ("a.pnm", "PPM"),
        ("a", "PNG"),
    ],
)
def test_whatever_pillow_opens_is_an_image(tmp_path, name, kind):
    if name.endswith(".avif") and ".avif" not in image_files.suffixes():
        pytest.skip("this Pillow was built without AVIF")
    save(tmp_path / name, 200, format=kind)
    source = open_source(str(tmp_path), channels=1)
    assert names(source, tmp_path) == [name]
    assert abs(int(source.array[0, 4, 4, 0]) - 200) < 8


def test_what_is_left_out_is_counted_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "suffixes", lambda: frozenset({".png"}))
    for name in ("a.png", "b.png", "c"):
        save(tmp_path / name, format="PNG")
    for name in ("d.heic", "e.cr2", "f.TXT", "g.txt", "README", ".DS_Store"):
        (tmp_path / name).write_bytes(b"nothing")
    save(tmp_path / ".thumbnails" / "a.png")
    said = []
    source = open_source(str(tmp_path), say=said.append)
    assert source.n_samples == 3
    assert said == [f"{tmp_path}: {source.understood}"]
    assert source.understood == (
        "3 images: 2 .png, 1 without a suffix; classes: none; left out 7 files: 2 .txt, 2 hidden, "
        "1 .cr2 (no reader), 1 .heic (no reader: pip install 'jaxdc[heic]'), 1 without a suffix"
    )
    for name in ("a.png", "b.png", "c", "f.TXT", "g.txt"):
        (tmp_path / name).unlink()
    with pytest.raises(
        InputError, match=r"no images that can be read; left out 5 files: .*1 \.heic \(no reader: pip"
    ):
        open_source(str(tmp_path))


def test_heic_is_read_with_its_extra(tmp_path):
    pytest.importorskip("pillow_heif")
    image_files.suffixes()  # registers it
    save(tmp_path / "a.heic", 200, format="HEIF")
    assert abs(int(open_source(str(tmp_path), channels=1).array[0, 4, 4, 0]) - 200) < 8


def test_linked_files_and_folders_are_read(tmp_path):
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for i in range(2):
        save(elsewhere / f"{i}.png")
    save(folder / "cat" / "a.png")
    (folder / "dog").symlink_to(elsewhere)
    (folder / "cat" / "b.png").symlink_to(elsewhere / "0.png")
    (folder / "cat" / "broken.png").symlink_to("nowhere.png")
    source = open_source(str(folder))
    assert names(source, folder) == ["cat/a.png", "cat/b.png", "dog/0.png", "dog/1.png"]
    assert source.labels.tolist() == ["cat", "cat", "dog", "dog"]
    assert "left out 1 file: 1 broken links" in source.understood


def test_a_folder_is_read_once_however_many_links_lead_to_it(tmp_path):
    folder = tmp_path / "data"
    save(folder / "zoo" / "a.png")
    (folder / "again").symlink_to(folder / "zoo")  # sorted before it, yet the folder has its own name
    (folder / "zoo" / "up").symlink_to(folder)
    (folder / "out").symlink_to(tmp_path)  # above the folder, which would hold it again
    (folder / "self").symlink_to("self")
    listing = files_below(folder, lambda path: path.suffix == ".png")
    assert [str(path.relative_to(folder)) for path in listing.paths] == ["zoo/a.png"]
    assert listing.left_out == {"links to a folder that is read already": 3, "broken links": 1}


def test_links_that_branch_are_not_read_again_and_again(tmp_path):
    for i in range(40):
        (tmp_path / f"{i}").mkdir()
        for side in ("left", "right"):
            (tmp_path / f"{i}" / side).symlink_to(tmp_path / f"{i + 1}")
    save(tmp_path / "39" / "a.png")
    assert len(files_below(tmp_path / "0", lambda path: path.suffix == ".png").paths) == 1


def test_a_folder_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    save(tmp_path / "open" / "a.png")
    (tmp_path / "locked").mkdir()
    scan = os.scandir

    def refuses(path):
        if str(path).endswith("locked"):
            raise PermissionError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuses)
    assert files_below(tmp_path, lambda path: True).left_out == {"folders that can't be read": 1}


@pytest.mark.parametrize(
    ("paths", "labels", "said"),
    [
        (
            "train/cat/1 train/dog/1 test/cat/1",
            ["cat", "dog", "cat"],
            "cat, dog (the folders in test/ and train/)",
        ),
        ("images/cat/1 images/dog/1", ["cat", "dog"], "cat, dog (the folders in images/)"),
        ("a/train/cat/1 a/Test/dog/x/1", ["cat", "dog"], "cat, dog (the folders in Test/ and train/)"),
        ("train/1 car/1", ["train", "car"], "car, train"),
        ("train/1 test/1", None, "none, because test/ and train/ are parts of one set"),
        ("cat/1 dog/1 2", None, "none, because 2 is in no folder of a class"),
        ("train/cat/1 test/2", None, "none, because test/2 is in no folder of a class"),
        ("cat/1 cat/2", None, "none"),
        ("1 2", None, "none"),
    ],
)
def test_classes_are_the_folders_that_tell_files_apart(tmp_path, paths, labels, said):
    found = subfolder_classes(tmp_path, [tmp_path / path for path in paths.split()])
    assert (found.labels if labels is None else found.labels.tolist()) == labels
    assert found.said == f"classes: {said}"


def test_texts_in_linked_folders(tmp_path):
    folder = tmp_path / "data"
    for name in ("elsewhere/1.txt", "data/b/2.txt", "data/b/3.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"cats and dogs of {name}")
    (folder / "a").symlink_to(tmp_path / "elsewhere")
    (folder / "b" / "table.xls").write_bytes(b"")
    source = open_source(str(folder))
    np.testing.assert_array_equal(source.labels, ["a", "b", "b"])
    assert source.understood == "3 documents; classes: a, b; left out 1 file: 1 .xls"

import numpy as np
import pytest
from PIL import Image, ImageFile

from jaxdc.data import FirstSamples, images, open_source
from jaxdc.data.images import decode, load_folder
from jaxdc.errors import InputError

PARTS = [np.array([4, 0, 4]), np.array([2]), np.array([1, 3, 0])]


def save(path, size=(20, 20), mode="RGB", value=None, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(abs(hash(path.name)) % 2**32)
    image = Image.fromarray(rng.integers(0, 255, size=(size[1], size[0], 3)).astype(np.uint8))
    if value is not None:
        image = Image.new("RGB", size, value)
    image.convert(mode).save(path, **kwargs)


def test_classes_from_subfolders(tmp_path):
    for name in ("cat/1.png", "cat/2.jpg", "dog/x/3.png"):
        save(tmp_path / name)
    source = open_source(str(tmp_path))
    assert source.labels.tolist() == ["cat", "cat", "dog"]
    assert source.sample_names == [str(tmp_path / name) for name in ("cat/1.png", "cat/2.jpg", "dog/x/3.png")]
    assert source.shape == (20, 20, 3)


def test_without_subfolders_there_are_no_classes(tmp_path):
    save(tmp_path / "b.png")
    save(tmp_path / "a.png")
    source = open_source(str(tmp_path))
    assert source.labels is None
    assert [name[-5:] for name in source.sample_names] == ["a.png", "b.png"]
    save(tmp_path / "one" / "c.png")
    assert open_source(str(tmp_path)).labels is None


def test_hidden_and_other_files_are_left_out(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / ".thumbnails" / "a.png")
    (tmp_path / "notes.txt").write_text("hello")
    assert open_source(str(tmp_path)).n_samples == 1


def test_any_size_and_mode_becomes_one_shape(tmp_path):
    modes = ("RGB", "L", "RGBA", "P", "1", "LA", "CMYK")
    for i, mode in enumerate(modes):
        suffix = ".jpg" if mode == "CMYK" else ".png"
        save(tmp_path / f"{i}{suffix}", size=(30 + i, 50), mode=mode)
    Image.fromarray(np.full((40, 40), 65535, np.uint16)).save(tmp_path / "deep.png")
    source = load_folder(tmp_path, image_size=16)
    assert source.array.shape == (8, 16, 16, 3)
    assert (source.array[-1] == 255).all()
    assert load_folder(tmp_path).shape == (64, 64, 3)


def test_grey_sets_stay_grey(tmp_path):
    save(tmp_path / "a.png", mode="L")
    save(tmp_path / "b.png", mode="1")
    assert open_source(str(tmp_path)).shape == (20, 20, 1)


def test_transparency_becomes_white_and_rotation_is_undone(tmp_path):
    Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert (decode(tmp_path / "clear.png", 8, 3) == 255).all()
    image = Image.new("RGB", (8, 8), "black")
    image.paste("white", (0, 0, 8, 4))
    exif = image.getexif()
    exif[0x0112] = 3  # taken upside down
    image.save(tmp_path / "turned.png", exif=exif)
    turned = decode(tmp_path / "turned.png", 8, 1)
    assert turned[0].max() == 0
    assert turned[-1].min() == 255


def test_a_wide_image_is_cut_and_not_squeezed(tmp_path):
    image = Image.new("L", (60, 20), 0)
    image.paste(255, (20, 0, 40, 20))
    image.save(tmp_path / "wide.png")
    assert (decode(tmp_path / "wide.png", 20, 1) == 255).all()


def test_bad_images_are_named_or_skipped_and_counted(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    truncated = (tmp_path / "3.png").read_bytes()[:400]
    (tmp_path / "3.png").write_bytes(truncated)
    with pytest.raises(InputError, match=r"1\.png can't be read .*--skip-bad-images"):
        load_folder(tmp_path)
    said = []
    source = load_folder(tmp_path, skip_bad_images=True, say=said.append)
    assert [name[-5:] for name in source.sample_names] == ["0.png", "2.png"]
    assert source.n_samples == 2
    assert "skipped 1 of 4" in said[0]
    assert "skipped 1 of 3" in said[1]
    for i in (0, 2):
        (tmp_path / f"{i}.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of the 1 images"):
        load_folder(tmp_path, skip_bad_images=True)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="has no images"):
        open_source(str(tmp_path))


def test_streaming_gives_what_memory_holds(tmp_path):
    for i in range(10):
        save(tmp_path / f"{i}.png")
    resident, stream = load_folder(tmp_path), load_folder(tmp_path, resident_bytes=0)
    assert stream.array is None
    for source in (resident, stream):
        blocks = list(source.blocks(4, shard=(0, 1)))
        assert [len(x) for x, _ in blocks] == [4, 4, 2]
        np.testing.assert_array_equal(np.concatenate([x for x, _ in blocks]), resident.array)
    one, other = (
        [rows for _, rows in s.batches(4, seed=1, epoch=2, skip=0, shard=(0, 1))] for s in (resident, stream)
    )
    np.testing.assert_array_equal(one, other)
    for x, rows in stream.batches(2, seed=1, epoch=0, skip=1, shard=(1, 2)):
        np.testing.assert_array_equal(x, resident.array[rows])


def test_pictures_are_read_by_row(tmp_path):
    for i in range(5):
        save(tmp_path / f"{i}.png")
    resident, stream = load_folder(tmp_path), load_folder(tmp_path, resident_bytes=0)
    for (x, rows), expected in zip(stream.read(iter(PARTS)), PARTS, strict=True):
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_array_equal(x, resident.array[expected])
    assert list(stream.read(iter([]))) == []


def test_the_first_samples_of_a_stream(tmp_path):
    for i in range(6):
        save(tmp_path / f"{i}.png")
    stream = load_folder(tmp_path, resident_bytes=0)
    first = FirstSamples(stream, 4)
    rows = [rows.tolist() for _, rows in first.blocks(2, shard=(1, 2))]
    assert rows == [[1, 3]]
    batches = [list(first.batches(1, seed=0, epoch=3, skip=1, shard=(i, 2))) for i in (0, 1)]
    assert [len(of_process) for of_process in batches] == [1, 1]
    whole = [rows for _, rows in first.batches(4, seed=0, epoch=3, skip=0, shard=(0, 1))]
    assert sorted(whole[0]) == [0, 1, 2, 3]
    assert [int(of_process[0][1][0]) for of_process in batches] == list(whole[0][2:])
    assert first.fingerprint() != stream.fingerprint()


def test_bad_images_are_left_out_of_a_stream_too(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.png")
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:400])
    stream = load_folder(tmp_path, resident_bytes=0, skip_bad_images=True)
    assert stream.array is None
    assert sum(len(x) for x, _ in stream.blocks(2, shard=(0, 1))) == 3


def test_an_image_that_breaks_while_streaming_is_named(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.png")
    stream = load_folder(tmp_path, resident_bytes=0)
    (tmp_path / "2.png").write_bytes(b"gone")
    with pytest.raises(InputError, match=r"2\.png can't be read"):
        list(stream.blocks(4, shard=(0, 1)))


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("stretch", [False, True])
def test_a_jpeg_that_is_shrunk_while_it_is_decoded_is_the_same_but_for_a_few_levels(
    tmp_path, monkeypatch, resample, stretch
):
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 255, size=(30, 40, 3)).astype(np.uint8))
    rough.resize((1203, 901), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=92)
    decoded, load = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: (load(image), decoded.append(image.size))[0])
    how = {"resample": resample, "stretch": stretch}
    quick = decode(tmp_path / "a.jpg", 64, 3, **how)
    assert decoded[0] == (301, 226)
    monkeypatch.setattr(images, "DRAFT", 1000)
    whole = decode(tmp_path / "a.jpg", 64, 3, **how)
    assert decoded[-1] == (1203, 901)
    difference = np.abs(quick.astype(int) - whole)
    assert difference.mean() < 0.6
    assert difference.max() <= 4


def test_a_shrunk_jpeg_is_turned_as_its_camera_says(tmp_path):
    image = Image.new("RGB", (400, 300), "black")
    image.paste("white", (0, 0, 200, 300))
    exif = image.getexif()
    exif[0x0112] = 6  # held upright: its left is its top
    image.save(tmp_path / "turned.jpg", exif=exif)
    turned = decode(tmp_path / "turned.jpg", 16, 1)
    assert turned[:7].min() > 250
    assert turned[9:].max() < 5

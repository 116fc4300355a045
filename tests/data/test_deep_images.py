import io
import json

import numpy as np
import pytest
from PIL import Image

import jaxdc
from jaxdc.data import open_source
from jaxdc.data.deep_images import divisors_for, extent_of
from jaxdc.data.images import load_folder
from jaxdc.errors import InputError

TOPS = (240, 255, 256, 1000, 4000)


def ramp(top, dtype=np.uint16):
    values = np.linspace(0, top, 1024).reshape(32, 32)
    return Image.fromarray((values.round() if dtype == np.uint16 else values).astype(dtype))


@pytest.fixture
def folder(tmp_path):
    """Images of 12 bits, as cameras and microscopes write them; each with a largest value of its own."""
    (tmp_path / "data").mkdir()
    for top in TOPS:
        ramp(top).save(tmp_path / "data" / f"{top:04}.png")
    return tmp_path / "data"


@pytest.mark.parametrize("resident_bytes", [2**31, 0])
def test_a_set_of_12_bits_has_one_divisor(folder, resident_bytes):
    said = []
    source = open_source(str(folder), resident_bytes=resident_bytes, say=said.append)
    x = np.concatenate([x for x, _ in source.blocks(8, shard=(0, 1))])
    assert x.max(axis=(1, 2, 3)).tolist() == [round(top / 4095 * 255) for top in TOPS]
    assert source.divisors == {"integers": 4095.0}
    assert "5 images of more than 8 bits divided by 4,095" in said[0]


def test_new_images_are_divided_as_those_of_training(folder):
    (folder / "4000.png").unlink()
    divisors = {"integers": 512.0}
    source = load_folder(folder, divisors=divisors)
    assert source.divisors == divisors
    assert source.array.max(axis=(1, 2, 3)).tolist() == [120, 127, 128, 255]
    assert (
        "divided by 512 as in training; 1 of them go beyond it, up to 1,000, and are cut off" in source.understood
    )


@pytest.mark.parametrize(
    ("top", "dtype", "divisor"),
    [
        (200, np.uint16, 255),
        (1000, np.uint16, 1023),
        (5000, np.uint16, 16383),
        (60000, np.uint16, 65535),
        (0.5, np.float32, 1),
        (1.0, np.float32, 1),
        (3.5, np.float32, 3.5),
        (254.5, np.float32, 255),
        (4000.5, np.float32, 4095),
    ],
)
def test_the_divisor_is_that_of_the_smallest_depth(tmp_path, top, dtype, divisor):
    ramp(top, dtype).save(tmp_path / "a.tif")
    extents = [extent_of(tmp_path / "a.tif")]
    assert list(divisors_for(extents).values()) == [divisor]
    assert load_folder(tmp_path).array.max() == round(top / divisor * 255)


def test_images_of_8_bits_have_no_divisor(tmp_path):
    Image.new("L", (8, 8), 200).save(tmp_path / "a.png")
    assert load_folder(tmp_path).divisors is None


@pytest.mark.parametrize(("value", "why"), [(np.nan, "values that are no numbers"), (-3, "values down to -3")])
def test_values_that_are_no_brightness_are_refused(tmp_path, value, why):
    for i in range(3):
        ramp(1, np.float32).save(tmp_path / f"{i}.tif")
    image = np.asarray(ramp(1, np.float32)).copy()
    image[0, 0] = value
    Image.fromarray(image).save(tmp_path / "1.tif")
    with pytest.raises(InputError, match=rf"1\.tif can't be read \(it has {why}"):
        load_folder(tmp_path)
    assert load_folder(tmp_path, skip_bad_images=True).n_samples == 2


def test_encoded_images_have_one_divisor_too(tmp_path):
    files = []
    for top in TOPS:
        ramp(top).save(file := io.BytesIO(), "PNG")
        files.append(file.getvalue())
    offset = np.cumsum([0, *map(len, files)])
    np.savez(tmp_path / "a.npz", jpeg=np.frombuffer(b"".join(files), np.uint8), offset=offset)
    source = open_source(str(tmp_path / "a.npz"))
    assert source.shape == (32, 32, 1)
    assert source.array.max(axis=(1, 2, 3)).tolist() == [round(top / 4095 * 255) for top in TOPS]


@pytest.mark.full
def test_a_run_keeps_the_divisor(folder, tmp_path, one_device):
    source = load_folder(folder, image_size=4)
    result = jaxdc.fit(jaxdc.KMeans(n_clusters=2), source, workdir=tmp_path / "run", devices=one_device)
    understood = json.loads((tmp_path / "run" / "config.json").read_text())["understood"]
    assert understood["divisors"] == {"integers": 4095.0}
    assert understood["summary"].startswith("5 images: 5 .png; 5 images of more than 8 bits divided by 4,095")
    (tmp_path / "new").mkdir()
    ramp(256).save(tmp_path / "new" / "a.png")
    with pytest.raises(InputError, match=r"divided by 1,023, but .* by 4,095: open it with .*divisors="):
        result.predict(load_folder(tmp_path / "new", image_size=4))
    assert (
        result.predict(load_folder(tmp_path / "new", image_size=4, divisors=understood["divisors"]))
        == result.labels[2]
    )

import base64
import io

import numpy as np
import pytest
from PIL import Image

from jaxdc.report import pictures


def opened(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


def noise(n, side):
    rng = np.random.default_rng(0)
    return {i: Image.fromarray(rng.integers(256, size=(side, side, 3), dtype=np.uint8)) for i in range(n)}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_thumbnails_are_of_the_rows_asked_for(dtype, channels):
    x = (np.arange(9)[:, None, None, None] * 20 + np.arange(40)[None, :, None, None]).astype(dtype)
    x = np.broadcast_to(x, (9, 40, 20, channels))
    made = pictures.thumbnails(lambda parts: ((x[rows], rows) for rows in parts), [7, 2, 7], 10)
    assert list(made) == [2, 7] and all(image.size == (5, 10) for image in made.values())
    assert made[2].mode == ("RGB" if channels == 3 else "L")
    top, bottom = (np.asarray(made[7])[row].mean() for row in (0, -1))
    if dtype == np.uint8:
        assert top == pytest.approx(141, abs=2) and bottom == pytest.approx(178, abs=2)
    else:
        assert top < 20 and bottom > 235  # numbers of no known range are stretched


def test_pictures_that_are_too_many_are_smaller(monkeypatch):
    some = noise(60, 96)
    assert {opened(a).size for a in pictures.encoded(some).values()} == {(96, 96)}
    monkeypatch.setattr(pictures, "MOST_BYTES", 60 * 4000)
    made = pictures.encoded(some)
    assert sum(map(len, made.values())) <= 60 * 4000 * 4 / 3 and list(made) == list(some)
    assert {opened(a).size for a in made.values()} in ({(48, 48)}, {(32, 32)})
    monkeypatch.setattr(pictures, "MOST_BYTES", 1)
    assert {opened(a).size for a in pictures.encoded(some).values()} == {(32, 32)}
    assert pictures.encoded({}) == {}


def test_a_sheet_has_each_sample_in_its_place(monkeypatch):
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (9, 9, 9)]
    some = [Image.new("RGB", (20, 20), color) for color in colors]
    found = pictures.sheet(some)
    whole = opened(found.address).convert("RGB")
    assert (found.columns, found.n_rows, found.tile) == (3, 2, 20) and whole.size == (60, 40)
    for i, color in enumerate(colors):
        at = whole.getpixel((20 * (i % 3) + 10, 20 * (i // 3) + 10))
        assert at == pytest.approx(color, abs=12)
    monkeypatch.setattr(pictures, "MOST_SHEET_BYTES", 20)
    assert pictures.sheet(list(noise(5, 60).values())).tile == 16


def test_large_pictures_are_not_tried_as_png():
    assert pictures._address(Image.new("L", (1025, 1024))).startswith("data:image/jpeg")
    assert pictures._address(Image.new("L", (64, 64))).startswith("data:image/png")

"""Thumbnails of images, embedded in the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxdc.report.contents import Read

SIDES = (96, 64, 48, 32)  # pixels of the longer side; the first at which all fit
MOST_BYTES = 8 * 2**20  # of all pictures of a page, before base64
TRIED = 50  # pictures, to find the size of all
TILES = (48, 32, 24, 16)  # pixels of a sample on the map's sheet; the first at which it is small enough
MOST_SHEET_BYTES = 3 * 2**20
MOST_PIXELS_OF_A_PNG = 2**20
READ = 64  # samples at a time


def thumbnails(read: Read, rows: Iterable[int], side: int) -> dict[int, Image.Image]:
    """Thumbnails of at most ``side`` pixels of the samples in these rows."""
    rows = sorted(set(rows))
    parts = read(iter([np.array(rows[i : i + READ]) for i in range(0, len(rows), READ)]))
    return {int(row): _thumbnail(image, side) for x, part in parts for image, row in zip(x, part, strict=True)}


def encoded(pictures: Mapping[int, Image.Image]) -> dict[int, str]:
    """The pictures as data URLs, within the size limit of a page."""
    most = MOST_BYTES * 4 / 3
    some = list(pictures.values())[:: max(len(pictures) // TRIED, 1)]
    for side in SIDES:
        tried = sum(len(_address(_smaller(image, side))) for image in some)
        if side > SIDES[-1] and tried * len(pictures) > 0.9 * most * len(some):
            continue
        made = {row: _address(_smaller(image, side)) for row, image in pictures.items()}
        if side == SIDES[-1] or sum(map(len, made.values())) <= most:
            return made
    return {}


class Sheet(NamedTuple):
    """A single picture of many samples, row by row, in their order.

    Attributes:
      address: ``data:`` address of the picture.
      tile: pixels of a sample's side.
      columns: samples in a row.
      n_rows: rows.
    """

    address: str
    tile: int
    columns: int
    n_rows: int


def sheet(pictures: Sequence[Image.Image]) -> Sheet:
    """A single picture of all samples."""
    largest, columns = max(max(p.size) for p in pictures), math.ceil(math.sqrt(len(pictures)))
    n_rows = math.ceil(len(pictures) / columns)
    tile, address = 0, ""
    for tile in dict.fromkeys(min(one, largest) for one in TILES):
        address = _address(_tiled(pictures, tile, columns, n_rows))
        if len(address) <= MOST_SHEET_BYTES * 4 / 3:
            break
    return Sheet(address, tile, columns, n_rows)


def _tiled(pictures: Sequence[Image.Image], tile: int, columns: int, n_rows: int) -> Image.Image:
    grey = all(picture.mode == "L" for picture in pictures)
    whole = Image.new("L" if grey else "RGB", (columns * tile, n_rows * tile))
    for i, picture in enumerate(pictures):
        small = _smaller(picture, tile)
        whole.paste(small, ((i % columns) * tile, (i // columns) * tile))
    return whole


def _thumbnail(x: np.ndarray, side: int) -> Image.Image:
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        x = ((x - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    return _smaller(Image.fromarray(x[..., 0] if x.shape[2] != 3 else x), side)


def _smaller(image: Image.Image, side: int) -> Image.Image:
    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side))
    return image


def _address(image: Image.Image) -> str:
    """The picture as PNG or JPEG, whichever is smaller; as JPEG without trying if PNG would take long."""
    files = {"jpeg": io.BytesIO()}
    image.save(files["jpeg"], "JPEG", quality=85, subsampling=0)
    if image.width * image.height <= MOST_PIXELS_OF_A_PNG:
        image.save(files.setdefault("png", io.BytesIO()), "PNG")
    kind = min(files, key=lambda kind: len(files[kind].getvalue()))
    return f"data:image/{kind};base64,{base64.b64encode(files[kind].getvalue()).decode()}"

"""A folder of images, of any size and mode, optionally with one subfolder per class."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from jaxdc.data.ahead import in_chunks, n_cores, read_ahead
from jaxdc.data.deep_images import DEEP_MODES, Extent, divisors_for, extent_of, said_divisors, to_8_bits
from jaxdc.data.folders import files_below, subfolder_classes
from jaxdc.data.image_files import is_image, why_left_out
from jaxdc.data.sources import ArraySource, Source
from jaxdc.data.wording import counted
from jaxdc.errors import InputError
from jaxdc.reading.bounds import EXPANSION

GREY_MODES = {"1", "L", "LA"} | DEEP_MODES
LARGEST_OWN_SIZE = 96  # images that share a size are kept as they are up to this side length
DEFAULT_SIZE = 64
PLAIN_BYTES = 2**26  # decoded, that any image may have
DECODED_AT_ONCE = 8  # images that a thread decodes before it takes others
DRAFT = 3  # how many times as large as it will be a JPEG is decoded, at least


def load_folder(
    folder: Path,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    resample: str = "bilinear",
    stretch: bool = False,
    skip_bad_images: bool = False,
    divisors: Mapping[str, float] | None = None,
    resident_bytes: int = 2**31,
    say: Callable[[str], None] = lambda text: None,
) -> Source:
    """Loads the images in a folder, sorted by path.

    If every image is in a subfolder, and there are several, the first subfolder is its class (subfolders that only
    hold others are passed over, as are ``train/`` and ``test/``). Images are cropped to a central square, resized
    to one size, and converted to grey or RGB; transparency becomes white. Images of more than 8 bits become 8 bits
    by one divisor for all of them.

    Args:
      folder: folder of the images, at any depth. Links in it are followed; hidden files are left out.
      image_size: height and width (default: those of the images if they share a size of at most
        96 x 96, else 64).
      channels: 1 or 3 (default: 1 if all images are grey, else 3).
      resample: "bilinear" or "bicubic".
      stretch: stretch images to a square instead of cutting one out.
      skip_bad_images: skip unreadable images, and report how many there were.
      divisors: what the values of images of more than 8 bits are divided by, as in ``Source.divisors`` (default:
        by their largest value).
      resident_bytes: larger sets are streamed from disk.
      say: receives messages for the user.

    Raises:
      InputError: there are no images, or one can't be read (the message names it).
    """
    listing = files_below(folder, is_image)
    paths, left_out = listing.paths, listing.said_left_out(why_left_out)
    if not paths:
        raise InputError("; ".join([f"{folder} has no images that can be read", *left_out]))
    heads = _each(_head, paths)
    paths, heads = _without_bad(paths, heads, skip_bad_images, say)
    if channels is None:
        channels = 1 if {head[0] for head in heads} <= GREY_MODES else 3
    if image_size is None:
        sizes = {head[1] for head in heads}
        width, height = next(iter(sizes))
        image_size = int(width) if len(sizes) == 1 and width == height <= LARGEST_OWN_SIZE else DEFAULT_SIZE
    deep = [path for path, (mode, _) in zip(paths, heads, strict=True) if mode in DEEP_MODES]
    extents = _each(extent_of, deep)
    unusable = dict(zip(deep, extents, strict=True))
    paths, _ = _without_bad(paths, [unusable.get(path) for path in paths], skip_bad_images, say)
    known = [extent for extent in extents if isinstance(extent, Extent)]
    chosen = divisors_for(known, divisors)
    read = functools.partial(
        decode, image_size=image_size, channels=channels, resample=resample, stretch=stretch, divisors=chosen
    )
    streams = len(paths) * image_size**2 * channels > resident_bytes
    images: list[np.ndarray] = []
    if not streams:
        paths, images = _without_bad(paths, _each(read, paths), skip_bad_images, say)
    elif skip_bad_images:
        paths, _ = _without_bad(paths, _each(lambda path: read(path).shape, paths), True, say)
    classes = subfolder_classes(folder, paths)
    source: Source = FolderSource(folder, paths, read, (image_size, image_size, channels), classes.labels)
    if not streams:
        source = ArraySource(
            np.stack(images),
            source.labels,
            sample_names=source.sample_names,
            name=source.name,
            protocol=source.protocol,
        )
    source.divisors = chosen
    kinds = Counter(path.suffix.lower() or "without a suffix" for path in paths)
    n = f"{len(paths):,} image{'' if len(paths) == 1 else 's'}: {counted(kinds)}"
    source.understood = "; ".join([n, *said_divisors(known, chosen, divisors), classes.said, *left_out])
    return source


class FolderSource(Source):
    """Images that several threads read from disk when needed.

    Args:
      folder: folder of the images, used as the name; ``paths`` are reported as they are.
      paths: paths of the images.
      decode: reads one of them, uint8 ``[height, width, channels]``.
      shape: shape of what it reads.
      labels: classes ``[n]``, or None.
    """

    def __init__(
        self,
        folder: Path,
        paths: list[Path],
        decode: Callable[[Path], np.ndarray],
        shape: tuple[int, int, int],
        labels: np.ndarray | None,
    ):
        self._paths, self._decode, self.labels = paths, decode, labels
        self.name, self.protocol = str(folder), "all images of the folder"
        self.shape, self.dtype = shape, np.dtype(np.uint8)
        self.n_samples = len(paths)
        self.sample_names = [str(path) for path in paths]

    def fingerprint(self):
        names = "\n".join(f"{path.name} {path.stat().st_size}" for path in self._paths)
        return f"{self.n_samples} images {hashlib.sha256(os.fsencode(names)).hexdigest()[:16]}"

    def read(self, rows):
        with ThreadPoolExecutor(n_cores()) as pool:

            def load(part: np.ndarray) -> np.ndarray:
                images = np.empty((len(part), *self.shape), self.dtype)

                def fill(places: np.ndarray) -> list[Exception | None]:
                    return [_try(lambda i=i: self._fill(images, i, int(part[i]))) for i in places.tolist()]

                filled = pool.map(fill, in_chunks(np.arange(len(part)), DECODED_AT_ONCE))
                errors = list(itertools.chain.from_iterable(filled))
                _without_bad([self._paths[r] for r in part], errors, False, lambda text: None)
                return images

            yield from read_ahead(rows, load)

    def _fill(self, images: np.ndarray, i: int, row: int) -> None:
        images[i] = self._decode(self._paths[row])


def decode(
    file: Path | IO[bytes],
    image_size: int,
    channels: int,
    *,
    resample: str = "bilinear",
    stretch: bool = False,
    divisors: Mapping[str, float] | None = None,
) -> np.ndarray:
    """One image as uint8 ``[image_size, image_size, channels]``, cut about its centre or stretched.

    A JPEG that is at least six times as large is shrunk to a half, a quarter or an eighth while it is decoded,
    before it is resized. ``divisors`` are those of ``to_8_bits``, for an image of more than 8 bits.
    """
    with Image.open(file) as image:
        check_pixels(image, file)
        whole = image.size
        drafted = image.draft(None, (DRAFT * image_size, DRAFT * image_size))  # None of another format
        shrunk = drafted is not None and image.size != whole
        if not shrunk:
            ImageOps.exif_transpose(image, in_place=True)
        if image.mode in DEEP_MODES:
            image = to_8_bits(image, divisors)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        mode = "L" if channels == 1 else "RGB"
        image = image if image.mode == mode else image.convert(mode)
        if image.size != (image_size, image_size):
            # The last pixels of a shrunk image may lie beyond its end, in part.
            width, height = drafted[1][2:] if drafted and shrunk else image.size
            side = min(width, height)
            left, top = (0, 0) if stretch else ((width - side) / 2, (height - side) / 2)
            box = (left, top, width - left, height - top)
            image = image.resize((image_size, image_size), Image.Resampling[resample.upper()], box)
        if shrunk:
            image = ImageOps.exif_transpose(image)
        return np.asarray(image, np.uint8).reshape(image_size, image_size, channels)


def check_pixels(image: Image.Image, file: Path | IO[bytes]) -> None:
    """Raises InputError before an image is decoded that is far larger than its file can mean."""
    if isinstance(file, Path):
        held = file.stat().st_size
    else:
        place = file.tell()
        held = file.seek(0, os.SEEK_END)
        file.seek(place)
    n_bytes = image.width * image.height * len(image.getbands())
    if n_bytes > max(PLAIN_BYTES, EXPANSION * held):
        raise InputError(f"{image.width} x {image.height} pixels in {held:,} bytes are no picture")


def _each(read: Callable[[Path], Any], paths: list[Path]) -> list[Any]:
    """What is read of each file, or the exception."""
    with ThreadPoolExecutor(n_cores()) as pool:
        return list(pool.map(lambda path: _try(lambda: read(path)), paths))


def _head(path: Path) -> tuple[str, tuple[int, int]]:
    with Image.open(path) as image:
        return image.mode, image.size


def _try(read: Callable[[], Any]) -> Any:
    """The value, or the exception, of which damaged images raise any."""
    try:
        return read()
    except Exception as error:
        return error


def _without_bad(paths, values, skip: bool, say: Callable[[str], None]):
    """Drops what could not be read, or raises InputError that names it."""
    bad = [(path, v) for path, v in zip(paths, values, strict=True) if isinstance(v, Exception)]
    if not bad:
        return paths, values
    if not skip:
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise InputError(
            f"the image {bad[0][0]} can't be read ({bad[0][1]}){more}; "
            "fix or remove it, or skip such images with --skip-bad-images"
        )
    if len(bad) == len(paths):
        raise InputError(f"none of the {len(paths)} images can be read; the first is {bad[0][0]} ({bad[0][1]})")
    say(f"skipped {len(bad)} of {len(paths)} images that can't be read; the first is {bad[0][0]}")
    good = [(path, v) for path, v in zip(paths, values, strict=True) if not isinstance(v, Exception)]
    return [path for path, _ in good], [v for _, v in good]

"""A folder of images, of any size and mode, optionally with one subfolder per class."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from jaxdc.data.folders import files_below, subfolder_classes
from jaxdc.data.sources import ArraySource, Source
from jaxdc.errors import InputError
from jaxdc.reading.bounds import EXPANSION

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
GREY_MODES = {"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L"}
LARGEST_OWN_SIZE = 96  # images that share a size are kept as they are up to this side length
DEFAULT_SIZE = 64
PLAIN_BYTES = 2**26  # decoded, that any image may have


def load_folder(
    folder: Path,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    resample: str = "bilinear",
    stretch: bool = False,
    skip_bad_images: bool = False,
    resident_bytes: int = 2**31,
    say: Callable[[str], None] = lambda text: None,
) -> Source:
    """Loads the images in a folder, sorted by path.

    If every image is in a subfolder, and there are several, the first subfolder is its class. Images are
    cropped to a central square, resized to one size, and converted to grey or RGB; transparency becomes
    white, and 16 bits become 8.

    Args:
      folder: folder of the images, at any depth; hidden files are left out.
      image_size: height and width (default: those of the images if they share a size of at most
        96 x 96, else 64).
      channels: 1 or 3 (default: 1 if all images are grey, else 3).
      resample: "bilinear" or "bicubic".
      stretch: stretch images to a square instead of cutting one out.
      skip_bad_images: skip unreadable images, and report how many there were.
      resident_bytes: larger sets are streamed from disk.
      say: receives messages for the user.

    Raises:
      InputError: there are no images, or one can't be read (the message names it).
    """
    paths = files_below(folder, SUFFIXES)
    if not paths:
        raise InputError(f"{folder} has no images ({', '.join(sorted(SUFFIXES))})")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        heads = list(pool.map(_head, paths))
    paths, heads = _without_bad(paths, heads, skip_bad_images, say)
    if channels is None:
        channels = 1 if {head[0] for head in heads} <= GREY_MODES else 3
    if image_size is None:
        sizes = {head[1] for head in heads}
        width, height = next(iter(sizes))
        image_size = int(width) if len(sizes) == 1 and width == height <= LARGEST_OWN_SIZE else DEFAULT_SIZE
    size: int = image_size
    how = {"resample": resample, "stretch": stretch}
    source = FolderSource(folder, paths, size, channels, **how)
    streams = source.n_samples * size**2 * channels > resident_bytes
    if streams and not skip_bad_images:
        return source
    if streams:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            checks = list(pool.map(lambda path: _try(lambda: decode(path, size, channels, **how).shape), paths))
        paths, _ = _without_bad(paths, checks, True, say)
        return FolderSource(folder, paths, size, channels, **how)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = list(pool.map(lambda path: _try(lambda: decode(path, size, channels, **how)), paths))
    paths, images = _without_bad(paths, decoded, skip_bad_images, say)
    source = FolderSource(folder, paths, size, channels, **how)
    return ArraySource(
        np.stack(images),
        source.labels,
        sample_names=source.sample_names,
        name=str(folder),
        protocol=source.protocol,
    )


class FolderSource(Source):
    """Images that several threads read from disk when needed.

    Args:
      folder: folder of the images, used as the name; ``paths`` are reported as they are.
      paths: paths of the images.
      image_size: height and width to resize images to.
      channels: 1 or 3.
      resample: how, as ``decode`` has it.
      stretch: likewise.
    """

    def __init__(
        self,
        folder: Path,
        paths: list[Path],
        image_size: int,
        channels: int,
        *,
        resample: str = "bilinear",
        stretch: bool = False,
    ):
        self._paths, self._how = paths, {"resample": resample, "stretch": stretch}
        self._image_size, self._channels = image_size, channels
        self.name, self.protocol = str(folder), "all images of the folder"
        self.shape, self.dtype = (image_size, image_size, channels), np.dtype(np.uint8)
        self.n_samples = len(paths)
        self.sample_names = [str(path) for path in paths]
        self.labels = subfolder_classes(folder, paths)

    def fingerprint(self):
        names = "\n".join(f"{path.name} {path.stat().st_size}" for path in self._paths)
        return f"{self.n_samples} images {hashlib.sha256(names.encode()).hexdigest()[:16]}"

    def read(self, rows):
        # Decode one batch ahead of the one being yielded.
        with ThreadPoolExecutor(os.cpu_count()) as pool:

            def start(part):
                if part is None:
                    return []
                size, channels, how = self._image_size, self._channels, self._how
                return [pool.submit(decode, self._paths[r], size, channels, **how) for r in part]

            rows = iter(rows)
            part = next(rows, None)
            ahead = start(part)
            while part is not None:
                current, following = ahead, next(rows, None)
                ahead = start(following)
                images = [_try(future.result) for future in current]
                _without_bad([self._paths[r] for r in part], images, False, lambda text: None)
                yield np.stack(images), part
                part = following


def decode(
    file: Path | IO[bytes], image_size: int, channels: int, *, resample: str = "bilinear", stretch: bool = False
) -> np.ndarray:
    """One image as uint8 ``[image_size, image_size, channels]``, cut about its centre or stretched."""
    with Image.open(file) as image:
        check_pixels(image, file)
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I") or image.mode == "F":
            image = _to_8_bits(image)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (image_size, image_size):
            side, how = (image_size, image_size), Image.Resampling[resample.upper()]
            image = image.resize(side, how) if stretch else ImageOps.fit(image, side, how)
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


def _to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float64)
    largest = values.max(initial=0.0)
    # 16-bit files use 0..65535; floating-point ones 0..1 or 0..255.
    full = 65535.0 if image.mode.startswith("I") and largest > 255 else (1.0 if 0 < largest <= 1 else 255.0)
    return Image.fromarray(np.clip(values / full * 255.0, 0, 255).round().astype(np.uint8))


def _head(path: Path):
    def read():
        with Image.open(path) as image:
            return image.mode, image.size

    return _try(read)


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

"""Which files of a folder are images, and which reader they need."""

from __future__ import annotations

import functools
from pathlib import Path

from PIL import Image, features

# What Pillow lists among images, but which are none, or are read by another program that executes them.
_NO_IMAGES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# Formats that are known by their first bytes beyond doubt: those of files without a suffix.
_SURE = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_NEED = {"AVIF": "avif", "JPEG2000": "jpg_2000"}  # parts that a Pillow may be built without
_HEIF_SUFFIXES = frozenset((".heic", ".heif", ".hif"))
# Images that people have and Pillow can't read, or not everywhere.
_WITHOUT_READER = frozenset((".arw", ".avif", ".cr2", ".dcm", ".dng", ".eps", ".jp2", ".jxl", ".nef", ".svg"))


@functools.cache
def suffixes() -> frozenset[str]:
    """Suffixes of the images that can be read here: those of Pillow, and HEIC if pillow-heif is installed."""
    heif = _HEIF_SUFFIXES if _registers_heif() else frozenset()
    kinds = Image.registered_extensions()  # also loads what Pillow opens
    left_out = _NO_IMAGES | {kind for kind, module in _NEED.items() if not _has(module)}
    opened = {*Image.OPEN, "MPO"} - left_out
    return frozenset(suffix for suffix, kind in kinds.items() if kind in opened) - _HEIF_SUFFIXES | heif


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its suffix; without one, by its content."""
    if path.suffix:
        return path.suffix.lower() in suffixes()
    try:
        with Image.open(path, formats=[kind for kind in _SURE if kind in Image.OPEN]):
            return True
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def why_left_out(kind: str) -> str:
    """Why images of a suffix are left out, in brackets; "" of other files."""
    if kind in _HEIF_SUFFIXES:
        return " (no reader: pip install 'jaxdc[heic]')"
    return " (no reader)" if kind in _WITHOUT_READER else ""


def _has(module: str) -> bool:
    return module in {*features.modules, *features.codecs} and bool(features.check(module))


def _registers_heif() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True

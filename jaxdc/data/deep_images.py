"""Images of more than 8 bits: what their values are divided by, one number for a whole set.

A divisor for each file would make a dark image of a set as bright as the others, and two samples that differ by
a factor alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from jaxdc.data.sources import Source
from jaxdc.errors import InputError

DEEP_MODES = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits of sensors and files
INTEGERS, FLOATS = "integers", "floats"


class Extent(NamedTuple):
    """The largest value of an image, and whether its values are "integers" or "floats"."""

    kind: str
    largest: float


def extent_of(file: Path | IO[bytes]) -> Extent:
    """The extent of an image of more than 8 bits.

    Raises:
      ValueError: its values are no brightness: they start below 0, or aren't numbers.
    """
    with Image.open(file) as image:
        return _extent(image, np.asarray(image, np.float64))


def divisors_for(extents: Sequence[Extent], given: Mapping[str, float] | None = None) -> dict[str, float] | None:
    """What the values of a set of images are divided by, by kind; None if no image has more than 8 bits.

    Floats up to 1 stay as they are. Else it is the largest value of the smallest depth of ``DEPTHS`` that holds
    every value, such as 4,095 for 12 bits; or, for floats that would be dark then, the largest value itself.

    Args:
      extents: extents of the images.
      given: divisors of a run that the images are held against.
    """
    largest: dict[str, float] = {}
    for kind, value in extents:
        largest[kind] = max(value, largest.get(kind, 0.0))
    return {kind: (given or {}).get(kind) or _divisor(kind, value) for kind, value in largest.items()} or None


def said_divisors(
    extents: Sequence[Extent], divisors: Mapping[str, float] | None, given: Mapping[str, float] | None
) -> list[str]:
    """What is done to images of more than 8 bits, in words, if there are some."""
    said = []
    for kind, divisor in (divisors or {}).items():
        values = [extent.largest for extent in extents if extent.kind == kind]
        above = sum(value > divisor for value in values)
        what = f"image{'' if len(values) == 1 else 's'} of {'floats' if kind == FLOATS else 'more than 8 bits'}"
        said.append(
            f"{len(values):,} {what} divided by {divisor:,g}{' as in training' if kind in (given or {}) else ''}"
        )
        if above:
            said.append(f"{above:,} of them go beyond it, up to {max(values):,g}, and are cut off there")
    return said


def check_divisors(source: Source, trained: Mapping[str, float] | None) -> None:
    """Raises InputError if a source's images were divided by other numbers than those of a run."""
    trained = trained or {}
    for kind, divisor in (source.divisors or {}).items():
        if trained.get(kind, divisor) != divisor:
            raise InputError(
                f"{source.name} has images divided by {divisor:,g}, but those of this run were divided by "
                f"{trained[kind]:,g}: open it with open_source(..., divisors={dict(trained)})"
            )


def to_8_bits(image: Image.Image, divisors: Mapping[str, float] | None = None) -> Image.Image:
    """Divides the values by the divisor of their kind (default: that of this image alone), and cuts off at 1."""
    values = np.asarray(image, np.float64)
    kind, largest = _extent(image, values)
    divisor = (divisors or {}).get(kind) or _divisor(kind, largest)
    return Image.fromarray((np.clip(values / divisor, 0.0, 1.0) * 255.0).round().astype(np.uint8))


def _extent(image: Image.Image, values: np.ndarray) -> Extent:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("it has values that are no numbers")
    if low < 0:
        raise ValueError(f"it has values down to {low:g}, but brightness starts at 0")
    return Extent(FLOATS if image.mode == "F" else INTEGERS, high)


def _divisor(kind: str, largest: float) -> float:
    if kind == FLOATS and largest <= 1.001:
        return 1.0
    full = next((2.0**depth - 1 for depth in DEPTHS if largest <= 2**depth - 1), largest)
    return largest if kind == FLOATS and largest < full / 16 else full

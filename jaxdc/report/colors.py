"""A colour for each cluster, distinguishable for as many readers as possible, on light and on dark pages."""

from __future__ import annotations

import functools

import numpy as np

LEVELS = 14  # of each of red, green and blue, among which colours are chosen
CONTRAST = 3.0  # with the page, the least that WCAG 2.2 (1.4.11) asks of graphics
LEAST_CHROMA = 0.08  # grey is for what is not chosen
LIGHTNESS = {"light": (0.35, 0.75), "dark": (0.5, 0.9)}  # neither near black nor near white
PAGES = {"light": (255, 255, 255), "dark": (18, 18, 18)}

# Dichromats' view of linear RGB (Machado et al., 2009, severity 1).
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
TRITANOPIA = [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
# What matters of each way of seeing: most eyes see more, so that they may be asked for twice the distance.
VISIONS = ((np.eye(3), 0.5), *((np.array(m), 1.0) for m in (PROTANOPIA, DEUTERANOPIA, TRITANOPIA)))

# OKLab (Ottosson, 2020): linear RGB to cone responses, their cube roots to lightness and two opponent axes.
TO_CONES = np.array(
    (
        (0.4122214708, 0.5363325363, 0.0514459929),
        (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    )
)
TO_LAB = np.array(
    (
        (0.2104542553, 0.7936177850, -0.0040720468),
        (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    )
)


@functools.cache
def palette(n: int, page: str) -> tuple[str, ...]:
    """Colours ``#rrggbb`` for n clusters, on the "light" or the "dark" page.

    One after the other, the colour whose smallest distance from those before it is largest, the distance being
    the least over three kinds of colour blindness and half that of normal vision. The first so many are the same
    for any n. Beyond ten or so nobody tells all of them apart: the page says the cluster in words too.
    """
    steps = np.round(np.linspace(0, 255, LEVELS)).astype(np.uint8)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = oklab(linear(rgb))
    low, high = LIGHTNESS[page]
    colorful = (np.hypot(lab[:, 1], lab[:, 2]) >= LEAST_CHROMA) & (low <= lab[:, 0]) & (lab[:, 0] <= high)
    rgb = rgb[colorful & (contrast(rgb, PAGES[page]) >= CONTRAST)]
    seen = [weight * oklab(np.clip(linear(rgb) @ vision.T, 0, 1)) for vision, weight in VISIONS]
    chosen = [int(np.argmin(seen[0][:, 2]))]  # the bluest
    nearest = np.full(len(rgb), np.inf)
    while len(chosen) < n:
        distances = [np.linalg.norm(one - one[chosen[-1]][None, :], axis=1) for one in seen]
        nearest = np.minimum(nearest, np.min(distances, axis=0))
        chosen.append(int(np.argmax(nearest)))
    return tuple("#{:02x}{:02x}{:02x}".format(*map(int, rgb[i])) for i in chosen[:n])


def linear(rgb: np.ndarray) -> np.ndarray:
    """Colours in sRGB ``[n, 3]`` from 0 to 255, converted to linear light from 0 to 1."""
    x = np.asarray(rgb, np.float64) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def oklab(light: np.ndarray) -> np.ndarray:
    """Linear RGB ``[n, 3]``, converted to OKLab ``[n, 3]``, where distances match perception."""
    return np.cbrt(light @ TO_CONES.T) @ TO_LAB.T


def contrast(rgb: np.ndarray, page: tuple[int, int, int]) -> np.ndarray:
    """WCAG contrast ratio, 1 to 21, between colours ``[n, 3]`` and another one."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    a, b = linear(rgb) @ weights, linear(np.array(page)) @ weights
    return (np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)


def style(n: int) -> str:
    """CSS that gives cluster c's class ``kc`` its colour as ``--c``."""

    def rules(page: str) -> str:
        return "".join(f".k{c}{{--c:{color}}}" for c, color in enumerate(palette(n, page)))

    return f"{rules('light')}@media(prefers-color-scheme:dark){{{rules('dark')}}}"

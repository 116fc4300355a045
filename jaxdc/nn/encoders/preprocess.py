"""How pictures are brought to what an encoder takes: size, cut and scale."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxdc.errors import InputError

IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
RESAMPLES = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
FILTERS: dict[Any, str] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers, which config files give


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocess:
    """What is done to a picture before the network.

    Attributes:
      side: pixels along a side of what the network takes.
      resize: pixels along a side before the margin is cut off.
      resample: "bilinear" or "bicubic".
      stretch: a picture that is no square is stretched to one, in place of being cut to one about its centre.
      mean: mean of each channel, on a scale from 0 to 1.
      std: standard deviation of each channel.
    """

    side: int
    resize: int
    resample: Literal["bilinear", "bicubic"] = "bicubic"
    stretch: bool = False
    mean: tuple[float, ...] = IMAGENET["mean"]
    std: tuple[float, ...] = IMAGENET["std"]

    def of_size(self, side: int | None) -> Preprocess:
        """The same for another side; the margin keeps its share."""
        if side is None or side == self.side:
            return self
        return dataclasses.replace(self, side=side, resize=round(side * self.resize / self.side))

    def resized(self, images: np.ndarray) -> np.ndarray:
        """uint8 ``[n, h, w, 1 or 3]`` -> uint8 ``[n, side, side, 3]``."""
        if images.shape[-1] == 1:
            images = np.repeat(images, 3, axis=-1)
        if images.shape[1:3] != (self.resize, self.resize):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                images = np.stack(list(pool.map(self._resize, images)))
        margin = (self.resize - self.side) // 2
        return images[:, margin : margin + self.side, margin : margin + self.side]

    def _resize(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        cut = 0 if self.stretch else abs(height - width) / 2
        box = (cut, 0, width - cut, height) if width > height else (0, cut, width, height - cut)
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(
            picture.resize((self.resize, self.resize), RESAMPLES[self.resample], box=None if cut == 0 else box)
        )

    def normalized(self, images: jax.Array) -> jax.Array:
        """uint8 ``[n, side, side, 3]`` -> float32 in the units of the network."""
        mean, std = (jnp.array(x, jnp.float32)[None, None, None, :] for x in (self.mean, self.std))
        return (images.astype(jnp.float32) / 255 - mean) / std


def of_hugging_face(said: Mapping[str, Any] | None, default: Preprocess, where: str) -> Preprocess:
    """What a ``preprocessor_config.json`` says; what it leaves out is the default of the kind."""
    if said is None:
        return default
    try:
        size, crop = said.get("size"), said.get("crop_size")
        side, resize = default.side, default.resize
        stretch = default.stretch
        if isinstance(size, int):
            resize, stretch = size, False
        elif isinstance(size, Mapping) and "shortest_edge" in size:
            resize, stretch = int(size["shortest_edge"]), False
        elif isinstance(size, Mapping) and "height" in size:
            resize, stretch = _square(size), True
        side = resize
        if crop is not None and said.get("do_center_crop", True):
            side = crop if isinstance(crop, int) else _square(crop)
        if said.get("crop_pct") and resize < 384:  # of transformers' ResNets: what is cut is in it
            side, resize = resize, int(resize / said["crop_pct"])
        return Preprocess(
            side=side,
            resize=max(side, resize),
            resample=_filter(said.get("resample"), default, where),
            stretch=stretch,
            mean=tuple(map(float, said.get("image_mean") or default.mean)),
            std=tuple(map(float, said.get("image_std") or default.std)),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{where} is damaged: {error}") from error


def of_timm(said: Mapping[str, Any], where: str) -> Preprocess:
    """What timm's ``pretrained_cfg`` says."""
    try:
        side = int(said.get("input_size", (3, 224, 224))[-1])
        return Preprocess(
            side=side,
            resize=max(side, int(side / float(said.get("crop_pct", 0.875)))),
            resample=_filter(said.get("interpolation", "bicubic"), None, where),
            stretch=said.get("crop_mode") == "squash",
            mean=tuple(map(float, said.get("mean", IMAGENET["mean"]))),
            std=tuple(map(float, said.get("std", IMAGENET["std"]))),
        )
    except (TypeError, ValueError, KeyError, ZeroDivisionError) as error:
        raise InputError(f"{where} is damaged: {error}") from error


def _square(size: Mapping[str, int]) -> int:
    if size["height"] != size["width"]:
        raise ValueError(f"pictures of {size['height']} x {size['width']} pixels are not supported, only squares")
    return int(size["height"])


def _filter(said: Any, default: Preprocess | None, where: str) -> Any:
    if said is None and default is not None:
        return default.resample
    name = FILTERS.get(said, said)
    if name not in RESAMPLES:
        raise InputError(f"{where} resizes by {said!r}, where {' or '.join(RESAMPLES)} are known")
    return name

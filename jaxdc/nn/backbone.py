"""The settings of a ResNet as a value that can be a method's hyper-parameter."""

from __future__ import annotations

import dataclasses
from typing import Literal, final

from flax import nnx

from jaxdc.errors import InputError
from jaxdc.nn.resnet import BLOCKS, STEMS, ResNet

DTYPES = ("float32", "bfloat16")


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """Settings of a ResNet.

    Attributes:
      depth: 10, 18, 34 or 50; None uses the recipe's depth, or 18 without a recipe.
      stem: first layers, "cifar", "stl" or "imagenet"; None chooses by the side of the views: "cifar" up to 64
        pixels, "stl" up to 128, "imagenet" above.
      width: channels of the first stage.
      dtype: dtype of convolutions, matrix products and activations; parameters and statistics are always float32.
      zero_init: initialise every block as the identity.
      norm_groups: groups into which its batch normalisations cut a training batch (of all views that it sees
        together), to normalise each by itself; 1 normalises by the whole batch, over all devices.
    """

    depth: Literal[10, 18, 34, 50] | None = None
    stem: Literal["cifar", "stl", "imagenet"] | None = None
    width: int = 64
    dtype: Literal["float32", "bfloat16"] = "float32"
    zero_init: bool = False
    norm_groups: int = 1

    def __post_init__(self):
        for name, choices in (("depth", (None, *BLOCKS)), ("stem", (None, *STEMS)), ("dtype", DTYPES)):
            if getattr(self, name) not in choices:
                known = ", ".join(str(choice) for choice in choices if choice is not None)
                raise InputError(f"backbone.{name} must be one of {known}, not {getattr(self, name)!r}")
        for name in ("width", "norm_groups"):
            if getattr(self, name) < 1:
                raise InputError(f"backbone.{name} must be at least 1, but is {getattr(self, name)}")

    def or_else(self, *, depth: Literal[10, 18, 34, 50]) -> Backbone:
        """The same backbone with the recipe's depth if none was set; the stem follows the side of the views."""
        return dataclasses.replace(self, depth=self.depth or depth)

    def make(self, side: int, channels: int, rngs: nnx.Rngs) -> ResNet:
        """Builds the network for square images of ``side`` pixels."""
        stem = self.stem or ("cifar" if side <= 64 else "stl" if side <= 128 else "imagenet")
        return ResNet(
            self.depth or 18,
            stem=stem,
            width=self.width,
            channels=channels,
            dtype=self.dtype,
            zero_init=self.zero_init,
            norm_groups=self.norm_groups,
            rngs=rngs,
        )

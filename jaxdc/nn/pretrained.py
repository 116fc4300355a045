"""A pretrained encoder as the backbone of a method, which goes on training it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, final

from flax import nnx

from jaxdc.errors import InputError
from jaxdc.nn.blocks import stem_of
from jaxdc.nn.encoders import ImageModel, open_encoder
from jaxdc.nn.encoders.model import Settings, network_of
from jaxdc.nn.frozen import Frozen, freeze


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A pretrained encoder by its settings; a method takes it in place of a ``Backbone``.

    Attributes:
      kind: name of the kind, such as "dinov2".
      checksum: checksum of the initial weights.
      settings: architecture of the network, so that a run can be loaded without the encoder.
      side: height and width of its input.
      trained_blocks: number of last blocks to train, with what follows them; None trains all.
      dtype: dtype of matrix products and activations; parameters are always float32.
      folder: folder of the weights, not part of ``config.json``; None, as in a loaded run, reads no weights.
    """

    kind: str
    checksum: str
    settings: Settings
    side: int
    trained_blocks: int | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    folder: str | None = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self):
        if self.trained_blocks is not None and self.trained_blocks < 0:
            raise InputError(f"trained_blocks must be at least 0, but is {self.trained_blocks}")

    @classmethod
    def of(
        cls,
        model: ImageModel,
        *,
        trained_blocks: int | None = None,
        dtype: Literal["float32", "bfloat16"] = "float32",
    ) -> Pretrained:
        """That of an encoder which ``jaxdc.nn.encoders.open_encoder`` has opened."""
        return cls(
            kind=model.kind.name,
            checksum=model.checksum,
            settings=model.kind.settings,
            side=model.preprocess.side,
            trained_blocks=trained_blocks,
            dtype=dtype,
            folder=str(model.folder),
        )

    def or_else(self, *, depth: int) -> Pretrained:
        """Itself: there is nothing for a recipe to choose."""
        del depth
        return self

    def make(self, side: int, channels: int, rngs: nnx.Rngs) -> Any:
        """The network with its weights, of which those that are not trained are no parameters.

        Raises:
          InputError: the views are of another size than it takes, or the folder holds another encoder by now.
        """
        if side != self.side or channels != 3:
            raise InputError(
                f"the encoder takes views of {self.side} pixels a side in 3 channels, but these have {side} in "
                f"{channels}: set augmentation.size to {self.side}"
            )
        network = network_of(self.settings, self.dtype, rngs) if self.folder is None else self._load(self.folder)
        if self.trained_blocks is not None:
            _freeze_all_but(network, self.trained_blocks)
        return network

    def _load(self, folder: str) -> Any:
        if not Path(folder).is_dir():
            raise InputError(f"the encoder is no longer in {folder}")
        model = open_encoder(folder, side=self.side)
        if model.checksum != self.checksum:
            raise InputError(f"the weights in {folder} are others by now: {model.checksum}, not {self.checksum}")
        return model.load(self.dtype)


def _freeze_all_but(network: Any, n: int) -> None:
    """Freezes what comes before the last blocks; with more than there are, nothing."""
    blocks = list(network.blocks)
    if n > len(blocks):
        raise InputError(f"the encoder has {len(blocks)} blocks, of which {n} can't be trained")
    for block in blocks[: len(blocks) - n]:
        freeze(block)
    if n == len(blocks):
        return
    for name in stem_of(vars(network)) & vars(network).keys():
        part = getattr(network, name)
        if isinstance(part, nnx.Param):
            setattr(network, name, Frozen(part.get_value()))
        elif part is not None:
            freeze(part)

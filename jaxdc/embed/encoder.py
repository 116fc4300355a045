"""Which encoder made the vectors of a run, as ``config.json`` keeps it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from jaxdc.errors import InputError
from jaxdc.nn.encoders import ImageModel, open_encoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageEncoder:
    """A pretrained encoder and how it is used. Equal ones make equal vectors, wherever their folders are.

    Attributes:
      kind: name of the kind, such as "dinov2".
      checksum: checksum of the weights.
      side: height and width of its input.
      dtype: dtype of matrix products and activations.
      folder: folder of the encoder, not part of ``config.json``.
    """

    kind: str
    checksum: str
    side: int
    dtype: Literal["float32", "bfloat16"] = "float32"
    folder: str | None = dataclasses.field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        encoder: str | Path,
        *,
        side: int | None = None,
        dtype: Literal["float32", "bfloat16"] = "float32",
        download: bool = False,
    ) -> ImageEncoder:
        """That of a folder; arguments and errors are those of ``jaxdc.nn.encoders.open_encoder``.

        Example:
          >>> ImageEncoder.of("models/dinov2-small", side=112)  # doctest: +SKIP
          ImageEncoder(kind='dinov2', checksum='0a1b...', side=112, dtype='float32')
        """
        if dtype not in ("float32", "bfloat16"):
            raise InputError(f"an encoder's dtype is float32 or bfloat16, not {dtype!r}")
        model = open_encoder(encoder, side=side, download=download)
        kind, taken = model.kind.name, model.preprocess.side
        return cls(kind=kind, checksum=model.checksum, side=taken, dtype=dtype, folder=str(model.folder))

    def at(self, folder: str | Path | None) -> ImageEncoder:
        """The same, whose folder is now elsewhere."""
        return dataclasses.replace(self, folder=None if folder is None else str(folder))

    def open(self) -> ImageModel:
        """The encoder itself.

        Raises:
          InputError: its folder is gone, or holds another by now.
        """
        if self.folder is None or not Path(self.folder).is_dir():
            where = "" if self.folder is None else f" no longer in {self.folder}"
            raise InputError(f"the encoder ({self}) is{where or ' nowhere'}: say where it is with --encoder")
        model = open_encoder(self.folder, side=self.side)
        if model.checksum != self.checksum:
            raise InputError(
                f"the encoder in {self.folder} has weights of checksum {model.checksum}, but {self} is needed"
            )
        return model

    def __str__(self) -> str:
        """For messages."""
        return f"{self.kind} of checksum {self.checksum} at {self.side} pixels, {self.dtype}"

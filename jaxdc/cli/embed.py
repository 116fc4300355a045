"""``jaxdc embed``: the vectors that a pretrained encoder makes of images, as a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from jaxdc.cli.fit import join
from jaxdc.cli.options import DataOptions
from jaxdc.embed import embed
from jaxdc.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbedOptions(DataOptions):
    """Options of ``jaxdc embed``.

    Attributes:
      output: .npy file to write: a row of unit length for each image. An .json file beside it says what made it.
      fresh: replace what is there.
    """

    output: Path
    fresh: bool = False


def main(arguments: Sequence[str], console: Console) -> None:
    """Embeds images into a file; an interrupted command resumes."""
    options = tyro.cli(EmbedOptions, args=arguments, prog="jaxdc embed")
    if options.encoder is None:
        raise InputError("pass the folder of a pretrained encoder with --encoder")
    join(options, console)
    encoder = options.image_encoder()
    source = options.open_images(console, encoder)
    vectors = embed(source, encoder, options.output, fresh=options.fresh, say=console.print)
    console.print(f"{len(vectors):,} vectors of {vectors.shape[1]} by {encoder}: {options.output}")

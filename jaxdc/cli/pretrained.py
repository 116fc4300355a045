"""``--train-encoder``: a method that goes on training a pretrained encoder."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.console import Console

from jaxdc.cli.options import TrainOptions
from jaxdc.data import Source
from jaxdc.errors import InputError
from jaxdc.nn.pretrained import Pretrained

RATE = 0.1  # of the encoder, beside that of heads that have learnt nothing yet


def with_pretrained(
    options: TrainOptions, values: dict[str, Any], name: str, console: Console
) -> tuple[TrainOptions, Source]:
    """Puts the encoder into the hyper-parameters of a method, and opens the images that it takes.

    Raises:
      InputError: no encoder is named, or the method trains none.
    """
    if options.encoder is None:
        raise InputError("--train-encoder needs to know which: name its folder by --encoder")
    if not {"backbone", "augmentation"} <= set(values):
        raise InputError(
            f"{name} trains no encoder of images, as --train-encoder asks; scan, selflabel, cc and others do"
        )
    encoder = options.image_encoder()
    model = encoder.open()
    seen = model.preprocess
    values["backbone"] = Pretrained.of(model, trained_blocks=options.trained_blocks, dtype=options.encoder_dtype)
    scale = {"size": seen.side, "mean": seen.mean, "std": seen.std}
    values["augmentation"] = dataclasses.replace(values["augmentation"], **scale)
    if "pretext" in values and options.init_from is None:
        values["pretext"] = "none"  # the encoder itself says which samples are neighbours
    rate = RATE if options.encoder_rate is None else options.encoder_rate
    options = dataclasses.replace(options, encoder_rate=rate, image_size=options.image_size or seen.side)
    return options, options.open_images(console, encoder)


def check_untrained(options: TrainOptions) -> None:
    """Raises InputError for options that mean nothing without --train-encoder."""
    if options.trained_blocks is not None:
        raise InputError("--trained-blocks means nothing without --train-encoder")

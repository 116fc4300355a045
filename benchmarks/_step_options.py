"""The methods whose step is measured, and the options that say which step."""

from __future__ import annotations

import argparse

from jaxdc.methods import CC, IDFD, MoCo, SimCLR

METHODS = {"simclr": SimCLR, "moco": MoCo, "cc": CC, "idfd": IDFD}


def add_step_options(parser: argparse.ArgumentParser) -> None:
    """Adds method, network, image size, batch, dtype and size of the data set."""
    parser.add_argument("--method", choices=METHODS, default="simclr")
    parser.add_argument("--network", choices=[f"resnet{depth}" for depth in (10, 18, 34, 50)], default="resnet18")
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--samples", type=int, default=50_000)

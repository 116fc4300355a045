"""The small encoders of ``fixtures/encoders``."""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "fixtures" / "encoders"


def images(side):
    """uint8 [3, side, side, 3], those of which the features are stored."""
    return np.random.default_rng(side).integers(0, 256, (3, side, side, 3)).astype(np.uint8)
